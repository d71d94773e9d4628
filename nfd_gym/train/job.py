"""What every recipe's run begins with: stages in order, recordings that fit, the patch code."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from nfd_gym.data import Source, open_source
from nfd_gym.model.device import find_device
from nfd_gym.model.tokenizer import TokenizerConfig
from nfd_gym.settings import nearest
from nfd_gym.train.loop import LoopConfig
from nfd_gym.train.recipe import RecipeError
from nfd_gym.train.stages import tokenizer


class AnyRecipe(Protocol):
    """What recipes of all kinds say."""

    @property
    def name(self) -> str: ...
    @property
    def tokenizer(self) -> TokenizerConfig: ...
    @property
    def tokenizer_frames(self) -> int: ...
    @property
    def loop(self) -> LoopConfig: ...


class AnyJob(Protocol):
    """A recipe, the recordings and the folder of what is made of them."""

    @property
    def recipe(self) -> AnyRecipe: ...
    @property
    def data(self) -> Path: ...
    @property
    def out(self) -> Path: ...


J = TypeVar("J", bound=AnyJob)


def run_stages(stages: Mapping[str, Callable[[J], None]], job: J, only: str | None) -> None:
    """All stages in order, or the one called `only`. Side effect: files in the job's folder."""
    job.out.mkdir(parents=True, exist_ok=True)
    for name in stages if only is None else (only,):
        begin = time.monotonic()
        stages[name](job)
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)


def check_stage(recipe: AnyRecipe, stages: tuple[str, ...], only: str | None) -> None:
    """Refuse a stage that the recipe does not have."""
    if only is not None and only not in stages:
        raise RecipeError(
            f"recipe {recipe.name!r} has no stage {only!r}; did you mean {nearest(only, stages)!r}?"
        )


def check_source(job: AnyJob) -> Source:
    """The recordings of a job, refused where they hold nothing or have another size."""
    recipe, source = job.recipe, open_source(job.data)
    find_device(recipe.loop.device)
    sizes = recipe.tokenizer
    if not len(source.names):
        raise RecipeError(f"{job.data} holds no clips; record some with `nfd-gym record`.")
    if tuple(source.size) != (sizes.height, sizes.width):
        height, width = source.size
        raise RecipeError(
            f"recipe {recipe.name!r} is for {sizes.width}x{sizes.height} pictures and {job.data} "
            f"has {width}x{height}; record or import at that size."
        )
    return source


def fit_tokenizer(job: AnyJob) -> None:
    """Stage: the patch code. Side effect: OUT/tokenizer.safetensors, if it is not there."""
    path = job.out / "tokenizer.safetensors"
    if not path.exists():
        recipe = job.recipe
        fitted = tokenizer.fit(open_source(job.data), recipe.tokenizer, recipe.tokenizer_frames)
        tokenizer.save(fitted, path)


def need(job: AnyJob, name: str, stage: str) -> Path:
    """What an earlier stage wrote."""
    path = job.out / name
    if not path.exists():
        raise RecipeError(f"{path} is missing; run the stage `{stage}` first.")
    return path
