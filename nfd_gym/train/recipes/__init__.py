"""Recipes: one file of data per shipped world, from recordings to the world folder."""

import importlib
from typing import Any

from nfd_gym.settings import nearest
from nfd_gym.train.flat_recipe import FlatRecipe
from nfd_gym.train.recipe import Recipe, RecipeError
from nfd_gym.train.recipes.crafter import CRAFTER
from nfd_gym.train.recipes.crafter_plain import CRAFTER_PLAIN
from nfd_gym.train.recipes.crafter_plus import CRAFTER_PLUS
from nfd_gym.train.recipes.crafter_words import CRAFTER_WORDS
from nfd_gym.train.recipes.island import ISLAND
from nfd_gym.train.recipes.micro import MICRO
from nfd_gym.train.recipes.pusht import PUSHT

RECIPES: dict[str, Recipe | FlatRecipe] = {
    "island": ISLAND, "micro": MICRO, "pusht": PUSHT, "crafter": CRAFTER,
    "crafter-plain": CRAFTER_PLAIN, "crafter-plus": CRAFTER_PLUS, "crafter-words": CRAFTER_WORDS,
}  # fmt: skip


def find_recipe(name: str) -> Recipe | FlatRecipe:
    if name not in RECIPES:
        if ":" in name:
            found: Recipe = own_recipe(name)
            return found
        raise RecipeError(f"no recipe {name!r}; did you mean {nearest(name, RECIPES)!r}?")
    return RECIPES[name]


def own_recipe(name: str) -> Any:
    """The recipe that is called NAME in a module of the user's own: MODULE:NAME."""
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise RecipeError(f"--recipe {name}: {error}; is the module in this folder?") from error
    if not all(hasattr(found, part) for part in ("name", "world", "tokenizer", "denoiser")):
        raise RecipeError(f"--recipe {name}: {found!r} is no recipe; copy one of {list(RECIPES)}.")
    return found
