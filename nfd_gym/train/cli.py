"""`nfd-gym train --recipe NAME --data DIR --out DIR`: recordings to a world folder, stage by stage.

A recipe is data (nfd_gym/train/recipes/): the settings of every stage of one shipped world.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from nfd_gym import settings
from nfd_gym.errors import UsageError
from nfd_gym.train import flat_runner, runner
from nfd_gym.train.flat_recipe import FlatRecipe
from nfd_gym.train.recipe import Recipe
from nfd_gym.train.recipes import RECIPES, find_recipe

STAGES = """
stages, in their order; each reads what the ones before it wrote under --out:
  tokenizer  patch code of colour and depth, fitted on a sample of frames
  atlas      points of every place that was filmed before anything was changed there
  templates  how placed blocks look, and what digging lays bare
  views      what the memory would have shown at every tick: the training input
  body       how far an action moves the eye, and when it digs or places
  denoiser   the diffusion transformer, for --minutes
  world      the folder that `nfd-gym play --world` and gym.make("NFD-v0") take
recipes of worlds without a camera (pusht) have tokenizer, frames, denoiser and world.

A stage that has finished is not run again, an interrupted one goes on: give the same command again.
To repeat a stage, delete what it wrote (OUT/denoiser, OUT/views, ...) and what was made from it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = f"one of {', '.join(RECIPES)}, or MODULE:NAME of your own"
    parser.epilog = f"{STAGES.strip()}\n\n{parser.epilog or ''}".strip()
    parser.add_argument(
        "--recipe", required=True, metavar="NAME", help=f"one of: {names}, or MODULE:NAME"
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR",
        help="recordings with depth and poses (nfd-gym record --env Luanti-v0)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="run folder; holds the world at last"
    )
    parser.add_argument(
        "--stage", metavar="NAME", help=f"only this one of {', '.join(runner.STAGES)}"
    )
    parser.add_argument(
        "--minutes", type=float, metavar="M",
        help="budget of the denoiser over all resumes (default: the recipe's)",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N",
        help="processes of one thread each, for views and denoiser (default 2)",
    )  # fmt: skip
    parser.add_argument(
        "--clips", type=int, metavar="N", help="use the first N clips only (default: all)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="a.b=value", dest="assignments",
        help="change one setting of the recipe, such as loop.lr=1e-3; may be repeated",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="print the settings and stop")


def main(args: argparse.Namespace) -> int:
    """Side effect: fills `args.out`."""
    for name in ("workers", "clips"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} must be at least 1, got {value}.")
    recipe = chosen(args.recipe, args.assignments, args.minutes)
    if args.dry_run:
        print(settings.show(recipe))
        return 0
    where = {"data": args.data, "out": args.out, "workers": args.workers, "clips": args.clips}
    if isinstance(recipe, FlatRecipe):
        flat_runner.run(flat_runner.FlatJob(recipe=recipe, **where), args.stage)
    else:
        runner.run(runner.Job(recipe=recipe, **where), args.stage)
    made = args.out / recipe.world
    if (made / "world.json").is_file():
        print(f"{made}: play it with `nfd-gym play --world {made}`")
    return 0


def chosen(name: str, assignments: list[str], minutes: float | None) -> Recipe | FlatRecipe:
    """The recipe of that name with every "a.b=value" applied and another budget."""
    recipe = settings.apply(find_recipe(name), assignments)
    if minutes is None:
        return recipe
    if not minutes > 0:
        raise UsageError(f"--minutes must be above 0, got {minutes}.")
    return replace(recipe, loop=replace(recipe.loop, minutes=minutes, steps=0))
