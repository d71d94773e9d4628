"""Score policies on the dream, on the real game, or on both, with the same seeds.

    python -m agents.evaluate --policy random scripted runs/goto/last.zip --task goto-tower \\
        --env NFD-Minecraft-v0 Luanti-v0 --episodes 20 --out runs/goto/scores

Writes scores.json, scores.png and films of the best, the median and the worst episode of each.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array
from numpy.typing import NDArray

from agents.lanes import TASK, Setup, add_arguments, make_vector, setup_of
from agents.rivals import KINDS, Rival, make_rival
from agents.saving import write_whole
from agents.sb3_vec import lane_infos, one_info
from agents.scores import Interval, interval
from agents.scout import unlocked
from nfd_gym.command import guarded
from nfd_gym.eval import results
from nfd_gym.eval.video import write_mp4
from nfd_gym.runtime.threads import settle

FPS = 20.0


@dataclass(frozen=True)
class Episode:
    """One episode's outcome, and its pictures if they were asked for."""

    seed: int
    reward: float  # the sum of all rewards
    ticks: int
    terminated: bool
    unlocked: tuple[str, ...] = ()  # Crafter's achievements
    frames: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Score:
    """What one policy earned in one world."""

    policy: str
    setup: dict[str, Any]
    episodes: list[Episode]
    seconds: float
    facts: dict[str, Any]

    @property
    def returns(self) -> list[float]:
        return [episode.reward for episode in self.episodes]

    @property
    def interval(self) -> Interval:
        return interval(self.returns)

    def to_json(self) -> dict[str, Any]:
        middle = self.interval
        lines = [
            {"seed": e.seed, "return": e.reward, "ticks": e.ticks, "terminated": e.terminated,
             "unlocked": list(e.unlocked)}
            for e in self.episodes
        ]  # fmt: skip
        ticks = sum(e.ticks for e in self.episodes)
        return {
            "policy": self.policy,
            "mean": middle.mean,
            "low": middle.low,
            "high": middle.high,
            "std": float(np.std(self.returns)),
            "ticks_per_second": ticks / max(self.seconds, 1e-9),
            "setup": self.setup,
            "facts": self.facts,
            "episodes": lines,
        }


def score(rival: Rival, setup: Setup, episodes: int, seed: int, films: Path | None = None) -> Score:
    """`episodes` episodes with seeds seed, seed + 1, ...

    What an episode earns does not depend on how many lanes there are: every lane has its own seed,
    in the world and for the policy's samples. Only batched products are rounded differently.
    """
    setup = replace(
        setup,
        action_space=rival.action_space or setup.action_space,
        lanes=min(setup.lanes, episodes),
    )
    played: list[Episode] = []
    lanes = make_vector(setup)
    began = time.perf_counter()
    try:
        while len(played) < episodes:
            seeds = [seed + len(played) + lane for lane in range(setup.lanes)]
            batch = play(lanes, rival, seeds, films is not None)
            batch = batch[: episodes - len(played)]
            for episode in batch if films else ():
                write_film(films, episode)  # type: ignore[arg-type]
            played += [replace(episode, frames=None) for episode in batch]
    finally:
        lanes.close()
    if films is not None:
        keep_three(films, played)
    return Score(rival.name, setup.facts(), played, time.perf_counter() - began, rival.facts)


def play(
    lanes: VectorEnv[Any, Any, Any], rival: Rival, seeds: Sequence[int], film: bool = False
) -> list[Episode]:
    """One episode per lane. Lanes that end early go on unseen until all have ended."""
    space, count = lanes.single_action_space, lanes.num_envs
    frames, told = lanes.reset(seed=list(seeds))
    rival.begin(seeds, space)
    rewards, ticks = np.zeros(count), np.zeros(count, int)
    running, ends = np.ones(count, bool), np.zeros(count, bool)
    pictures = [[np.array(frame)] for frame in frames]
    done: list[tuple[str, ...]] = [()] * count
    while running.any():
        actions = rival.act(frames, lane_infos(told, count))
        batch = concatenate(space, list(actions), create_empty_array(space, count))
        frames, gained, terminated, truncated, told = lanes.step(batch)
        ended = terminated | truncated
        rewards += np.where(running, gained, 0.0)
        ticks += running
        ends |= running & terminated
        for lane in np.flatnonzero(running) if film else ():
            shown = told["final_obs"][lane] if ended[lane] else frames[lane]
            pictures[lane].append(np.array(shown))
        for lane in map(int, np.flatnonzero(running & ended)):
            last = unlocked(one_info(told["final_info"], lane))
            done[lane] = tuple(name for name, times in last.items() if times)
        running &= ~ended
    return [
        Episode(
            int(seeds[i]), float(rewards[i]), int(ticks[i]), bool(ends[i]), done[i],
            np.stack(pictures[i]) if film else None,
        )
        for i in range(count)
    ]  # fmt: skip


def write_film(folder: Path, episode: Episode) -> None:
    assert episode.frames is not None
    folder.mkdir(parents=True, exist_ok=True)
    write_mp4(folder / f"seed-{episode.seed}.mp4", episode.frames, FPS)


def keep_three(folder: Path, episodes: Sequence[Episode]) -> None:
    """Of the films, keep best.mp4, median.mp4 and worst.mp4."""
    order = sorted(episodes, key=lambda e: e.reward)
    chosen = {"worst": order[0], "median": order[len(order) // 2], "best": order[-1]}
    for name, episode in chosen.items():
        data = (folder / f"seed-{episode.seed}.mp4").read_bytes()
        write_whole(folder / f"{name}.mp4", data)
    for episode in episodes:
        (folder / f"seed-{episode.seed}.mp4").unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = make_parser().parse_args(arguments)
    settle()
    scores: list[Score] = []
    for env in args.envs:
        for word in args.policy:
            rival = make_rival(word, args.repeat, args.device, args.deterministic)
            setup = setup_for(args, env)
            films = None if args.no_films else args.out / f"{label(word)}-{env}"
            scores.append(score(rival, setup, args.episodes, args.seed, films))
            print(
                f"{env:18} {args.task or '-':8} {rival.name:32} {scores[-1].interval}", flush=True
            )
    command = "python -m agents.evaluate " + shlex.join(arguments)
    save(scores, args.out, command)
    if args.publish:
        results.publish(f"agents.scores.{args.task or TASK}", {"table": table(scores)}, command)
    return 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agents.evaluate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter, conflict_handler="resolve",
    )  # fmt: skip
    add_arguments(parser, lanes=4, horizon=400, split="test")
    add_scoring_arguments(parser)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for scores and films")
    add("--env", dest="envs", nargs="+", default=["NFD-Minecraft-v0", "Luanti-v0"],
        help="(NFD-Minecraft-v0 Luanti-v0)")  # fmt: skip
    add("--policy", nargs="+", required=True, help=KINDS)
    add("--no-films", action="store_true", help="write figures only")
    add("--publish", action="store_true", help="merge the table into assets/results.json")
    return parser


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("scoring").add_argument
    add("--episodes", type=int, default=20, help="per policy and env (20)")
    add("--seed", type=int, default=1000, help="of the first episode (1000)")
    add("--deterministic", action="store_true", help="agents take their likeliest action")


def setup_for(args: argparse.Namespace, env: str) -> Setup:
    """The options' setup in another env; a world belongs to dreams only."""
    setup = setup_of(argparse.Namespace(**{**vars(args), "env": env}))
    return setup if setup.dreams else replace(setup, world=None)


def label(policy: str) -> str:
    """A policy's name as a folder's name."""
    return policy.removesuffix(".zip").replace("/", "-").replace(":", "-").strip("-.")


def save(scores: Sequence[Score], out: Path, command: str) -> None:
    """scores.json and scores.png."""
    origin = {"command": command, "commit": results.commit(), "machine": results.machine()}
    text = json.dumps({**origin, "scores": [one.to_json() for one in scores]}, indent=1)
    write_whole(out / "scores.json", (text + "\n").encode())
    plot(scores, out / "scores.png")


def table(scores: Sequence[Score]) -> dict[str, Any]:
    rows = [
        [one.policy, one.setup["env"], one.interval.mean, one.interval.low, one.interval.high,
         float(np.mean([episode.terminated for episode in one.episodes])), len(one.episodes)]
        for one in scores
    ]  # fmt: skip
    columns = ["policy", "world", "return", "low", "high", "ended by the task", "episodes"]
    return {"columns": columns, "rows": rows}


def plot(scores: Sequence[Score], path: Path) -> None:
    """Every episode as a dot, the mean and its interval as a bar, one panel per world."""
    from matplotlib.figure import Figure

    envs = list(dict.fromkeys(one.setup["env"] for one in scores))
    figure = Figure(figsize=(1 + 4 * len(envs), 1.2 + 0.5 * len(scores) / len(envs)),
                    layout="constrained")  # fmt: skip
    panels = figure.subplots(1, len(envs), sharey=True, squeeze=False)[0]
    for axes, env in zip(panels, envs, strict=True):
        mine = [one for one in scores if one.setup["env"] == env]
        for row, one in enumerate(mine):
            spread = np.linspace(-0.2, 0.2, len(one.returns))
            axes.plot(one.returns, row + spread, "o", color="#1f77b4", alpha=0.4, markersize=3)
            middle = one.interval
            axes.plot([middle.low, middle.high], [row, row], color="black", linewidth=2)
            axes.plot(middle.mean, row, "D", color="black", markersize=5)
        axes.set_yticks(range(len(mine)), [Path(one.policy).name for one in mine])
        axes.set_xlabel(f"return in {env}")
        axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    sys.exit(guarded("python -m agents.evaluate", main))
