"""Ticks per second of the whole training loop, and where the time goes.

    python -m agents.speed --env NFD-Minecraft-v0 Luanti-v0 --lanes 1 8 16 --publish

The parts: drawing (the model, or the game with its pictures), the rest of a world's step (rewards,
resets, the copy of the pictures), the policy's decisions, and learning.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from agents.evaluate import setup_for
from agents.hyperparams import PPO
from agents.lanes import Setup, add_arguments, make_lanes
from agents.team import TeamPPO
from nfd_gym.command import guarded
from nfd_gym.eval import results
from nfd_gym.runtime.threads import settle

COLUMNS = [
    "world", "lanes", "ticks/s", "drawing", "rewards, resets, copies", "policy", "learning",
]  # fmt: skip


class Stopwatch:
    """Seconds spent in functions that it was put around."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                spent = time.perf_counter() - began
                self.seconds[name] = self.seconds.get(name, 0.0) + spent

        return timed


def measure(setup: Setup, updates: int) -> list[Any]:
    """A row of the table: `updates` updates of PPO after one to warm up."""
    lanes = make_lanes(setup)
    try:
        size = {"batch_size": min(PPO["batch_size"], PPO["n_steps"] * setup.lanes)}
        model = TeamPPO("CnnPolicy", lanes, device=setup.device, seed=0, **PPO | size)
        decisions = PPO["n_steps"] * setup.lanes
        model.learn(decisions)
        watch, base = Stopwatch(), lanes.unwrapped
        base.step_wait = watch.around("world", base.step_wait)  # type: ignore[method-assign]
        dream = getattr(base.lanes, "dream", None)  # type: ignore[attr-defined]
        if dream is not None:
            session = dream.session
            session.advance = watch.around("drawing", session.advance)
        model.collect_rollouts = watch.around("rollout", model.collect_rollouts)  # type: ignore[method-assign]
        began = time.perf_counter()
        model.learn(updates * decisions, reset_num_timesteps=False)
        total = time.perf_counter() - began
    finally:
        lanes.close()
    took = watch.seconds
    drawing = took.get("drawing", took["world"])
    parts = (
        drawing,
        took["world"] - drawing,
        took["rollout"] - took["world"],
        total - took["rollout"],
    )
    ticks = updates * decisions * setup.repeat
    return [
        setup.env,
        setup.lanes,
        ticks / total,
        *(f"{100 * part / total:.0f} %" for part in parts),
    ]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m agents.speed", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter, conflict_handler="resolve",
    )  # fmt: skip
    add_arguments(parser)
    parser.add_argument("--env", dest="envs", nargs="+", default=["NFD-Minecraft-v0"])
    parser.add_argument("--lanes", dest="many", nargs="+", type=int, default=[1, 8, 16])
    parser.add_argument("--updates", type=int, default=2, help="updates measured per row (2)")
    parser.add_argument("--publish", action="store_true", help="merge into assets/results.json")
    args = parser.parse_args(arguments)
    settle()
    rows = []
    for env in args.envs:
        usual = setup_for(argparse.Namespace(**vars(args), lanes=1), env)
        for lanes in args.many:
            rows.append(measure(replace(usual, lanes=lanes), args.updates))
            print(*rows[-1], sep="   ", flush=True)
    figures = {"table": {"columns": COLUMNS, "rows": rows}, "repeat": args.repeat}
    if args.publish:
        results.publish("agents.speed", figures, "python -m agents.speed " + shlex.join(arguments))
    return 0


if __name__ == "__main__":
    sys.exit(guarded("python -m agents.speed", main))
