"""Players of Crafter in the dream and in the game: returns, Crafter's score, 22 success rates.

    python -m agents.achievements --policy random scout runs/crafter/last.zip --publish

Achievements are counted by the game in the game, and in the dream by the game's rules from the
pictures. Episodes of the dream begin with first pictures of the game.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.evaluate import Score, score
from agents.lanes import Setup
from agents.rivals import KINDS, make_rival
from agents.scores import crafter_score, interval
from nfd_gym.command import parse_and_run
from nfd_gym.eval import results
from nfd_gym.games.crafter.spec import ACHIEVEMENTS
from nfd_gym.runtime.threads import settle

ENVS = {"dream": "NFD-Crafter-v0", "game": "Crafter-v0"}


def setup_of(args: argparse.Namespace, inside: str) -> Setup:
    """Where episodes of at most `args.steps` steps are played."""
    return Setup(
        env=ENVS[inside],
        world=args.world if inside == "dream" else None,
        task=None,
        split=args.split,
        lanes=args.lanes,
        horizon=args.steps,
        repeat=1,
        engine=args.engine,
    )


def successes(one: Score) -> NDArray[np.float64]:
    """What was achieved in each episode (E,22): 0 or 1."""
    return np.array([[name in e.unlocked for name in ACHIEVEMENTS] for e in one.episodes], float)


def agents_table(scores: Sequence[tuple[str, Score]]) -> dict[str, Any]:
    """A row per policy and place, with bootstrap intervals over episodes."""
    rows = []
    for inside, one in scores:
        done = successes(one)
        spans = interval(one.returns), interval(done.sum(1)), crafter_score(done)
        facts = one.facts
        rows.append([
            results.portable(one.policy), facts.get("setup", {}).get("env", "-"),
            facts.get("ticks"), inside, len(done),
            *(number for span in spans for number in (span.mean, span.low, span.high)),
            float(np.mean([e.ticks for e in one.episodes])),
        ])  # fmt: skip
    parts = [f"{what}{part}" for what in ("return", "achievements", "score %")
             for part in ("", " low", " high")]  # fmt: skip
    columns = ["policy", "trained in", "ticks", "inside", "episodes", *parts, "steps"]
    return {"columns": columns, "rows": rows}


def rates_table(scores: Sequence[tuple[str, Score]]) -> dict[str, Any]:
    """A row per achievement, a column per policy and place: the share of episodes."""
    columns = ["", *(f"{results.portable(one.policy)}, {inside}" for inside, one in scores)]
    rates = [successes(one).mean(0) for _, one in scores]
    rows = [[name, *(rate[i] for rate in rates)] for i, name in enumerate(ACHIEVEMENTS)]
    return {"columns": columns, "rows": rows}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--policy", nargs="+", default=["scout"], help=f"{KINDS} (scout)")
    add("--inside", nargs="+", choices=tuple(ENVS), default=list(ENVS), help="(dream game)")
    add("--world", default="crafter", help="a shipped world or a folder")
    add("--split", default="openings", help="start clips of the dream (openings)")
    add("--episodes", type=int, default=100, metavar="N", help="of each policy and place (100)")
    add("--steps", type=int, default=500, help="of an episode at most (500)")
    add("--seed", type=int, default=1000, help="of the first episode (1000)")
    add("--lanes", type=int, default=16, help="episodes at the same time (16)")
    add("--engine", default="auto", help="how the dream is drawn (auto)")
    add(
        "--name",
        default="crafter",
        metavar="NAME",
        help="tables are NAME-agents, NAME-achievements",
    )
    results.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Prints both tables."""
    scores: list[tuple[str, Score]] = []
    for word in args.policy:
        for inside in args.inside:
            one = score(make_rival(word, 1), setup_of(args, inside), args.episodes, args.seed)
            scores.append((inside, one))
            print(f"{word} in the {inside}: {one.interval} in {one.seconds:.0f} s", flush=True)
    command = "python -m agents.achievements " + shlex.join(sys.argv[1:])
    for what, table in (("agents", agents_table(scores)), ("achievements", rates_table(scores))):
        kept = results.keep(args, f"{args.name}-{what}", {"table": table}, command)
        print(results.markdown(kept))
    return 0


if __name__ == "__main__":
    settle()
    parser = argparse.ArgumentParser(
        prog="python -m agents.achievements", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_arguments(parser)
    sys.exit(parse_and_run(parser, main, sys.argv[1:]))
