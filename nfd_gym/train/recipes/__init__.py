"""Recipes: one file of data per shipped world, from recordings to the world folder."""

from nfd_gym.settings import nearest
from nfd_gym.train.flat_recipe import FlatRecipe
from nfd_gym.train.recipe import Recipe, RecipeError
from nfd_gym.train.recipes.island import ISLAND
from nfd_gym.train.recipes.micro import MICRO
from nfd_gym.train.recipes.pusht import PUSHT

RECIPES: dict[str, Recipe | FlatRecipe] = {"island": ISLAND, "micro": MICRO, "pusht": PUSHT}


def find_recipe(name: str) -> Recipe | FlatRecipe:
    if name not in RECIPES:
        raise RecipeError(f"no recipe {name!r}; did you mean {nearest(name, RECIPES)!r}?")
    return RECIPES[name]
