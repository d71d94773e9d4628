"""The scripted player of Crafter in the dream and in the game: achievements side by side.

    python -m agents.achievements --world crafter --episodes 100 --publish

In both worlds it sees pictures alone: tiles, counts and light are read from them, and the map is
what it has seen. Achievements are counted by the game in the game, and in the dream by the game's
rules from the pictures.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

import nfd_gym  # noqa: F401  registers the worlds
from agents.scores import interval
from nfd_gym.command import parse_and_run
from nfd_gym.eval import results
from nfd_gym.games.crafter.env import CrafterEnv
from nfd_gym.games.crafter.readings import HudReader
from nfd_gym.games.crafter.seen import BEGIN, Scout, Seen
from nfd_gym.games.crafter.spec import ACHIEVEMENTS
from nfd_gym.games.crafter.tiles import TileReader
from nfd_gym.progress import Progress
from nfd_gym.runtime.threads import settle

Look = tuple[NDArray[np.uint8], tuple[int, int], dict[str, int]]  # frame, place, achievements


class Game:
    """The real Crafter."""

    def __init__(self) -> None:
        self.env = CrafterEnv()

    def begin(self, seed: int) -> Look:
        frame, info = self.env.reset(seed=seed)
        return frame, info["position"], info["achievements"]

    def step(self, action: int) -> tuple[Look, bool]:
        frame, _, ended, _, info = self.env.step(action)
        return (frame, info["position"], info["achievements"]), ended


class Dream:
    """The learned Crafter, begun from the game's first picture."""

    def __init__(self, world: str) -> None:
        self.env, self.game = gymnasium.make("NFD-Crafter-v0", world=world), CrafterEnv()

    def begin(self, seed: int) -> Look:
        frame, _ = self.game.reset(seed=seed)
        frame, _ = self.env.reset(seed=seed, options={"frames": frame[None]})
        return frame, BEGIN, dict.fromkeys(ACHIEVEMENTS, 0)

    def step(self, action: int) -> tuple[Look, bool]:
        frame, _, ended, _, info = self.env.step(action)
        x, y = (round(float(axis)) for axis in info["pose"][:2])
        done = {name: int(info["reward_terms"][name]) for name in ACHIEVEMENTS}
        return (frame, (BEGIN[0] + x, BEGIN[1] + y), done), ended


def episode(world: Game | Dream, seed: int, most: int, readers: tuple[HudReader, TileReader]) -> (
    tuple[set[str], int]
):  # fmt: skip
    """Names of the achievements of one episode of at most `most` steps, and its steps."""
    player, seen = Scout(np.random.default_rng(seed)), Seen(*readers)
    look, ended, steps = world.begin(seed), False, 0
    while not ended and steps < most:
        look, ended = world.step(player.act(seen.look(*look)))
        steps += 1
    return {name for name, count in look[2].items() if count}, steps


def rows_of(done: dict[str, list[tuple[set[str], int]]]) -> Iterator[list[Any]]:
    """Steps, achievements and success rates with their intervals, dream then game."""
    for what, value in (
        ("steps", lambda names, steps: steps), ("achievements", lambda names, steps: len(names)),
        *((name, lambda names, steps, n=name: float(n in names)) for name in ACHIEVEMENTS),
    ):  # fmt: skip
        spans = [interval([value(*one) for one in episodes]) for episodes in done.values()]
        yield [what, *(number for span in spans for number in (span.mean, span.low, span.high))]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--world", default="crafter", help="a shipped world or a folder")
    parser.add_argument("--episodes", type=int, default=100, metavar="N")
    parser.add_argument("--steps", type=int, default=500, help="of an episode at most (500)")
    results.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Prints the table."""
    readers = HudReader.from_game(), TileReader()
    done: dict[str, list[tuple[set[str], int]]] = {"dream": [], "game": []}
    worlds: dict[str, Game | Dream] = {"dream": Dream(args.world), "game": Game()}
    with Progress(2 * args.episodes, "episodes") as bar:
        for seed in range(args.episodes):
            for name, world in worlds.items():
                done[name].append(episode(world, seed, args.steps, readers))
                bar.add()
    columns = ["", *(f"{world} {part}" for world in done for part in ("mean", "low", "high"))]
    command = (
        f"python -m agents.achievements --world {args.world} --episodes {args.episodes} "
        f"--steps {args.steps}"
    )
    table = {"columns": columns, "rows": list(rows_of(done))}
    print(results.markdown(results.keep(args, "crafter-achievements", {"table": table}, command)))
    return 0


if __name__ == "__main__":
    settle()
    parser = argparse.ArgumentParser(
        prog="python -m agents.achievements", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_arguments(parser)
    sys.exit(parse_and_run(parser, main, sys.argv[1:]))
