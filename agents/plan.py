"""Planning PushT in a batch of dreams: the cross-entropy method, carried out in the real game.

    python -m agents.plan --world pusht --data data/pusht-val --goals 50 --publish

DINO-WM's protocol: a goal is the state that a recorded run reached `AHEAD` steps later; the planner
has `BUDGET` steps; success is agent and block within 20 pixels (the norm of both differences) and
20 degrees. Plans are made in the learned world, from pictures alone, or, as the ceiling, in the
game's own physics (`--inside twin`).
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from agents.scores import interval
from nfd_gym.command import parse_and_run
from nfd_gym.data import open_source
from nfd_gym.data.sources.vpt import VPTSource
from nfd_gym.errors import UsageError
from nfd_gym.eval import results
from nfd_gym.games.pusht.env import PushTEnv
from nfd_gym.games.pusht.pictures import state_of
from nfd_gym.games.pusht.players import Simulator
from nfd_gym.games.pusht.readings import angle_between
from nfd_gym.games.pusht.spec import SIDE, SPEC
from nfd_gym.model.push import PushBody
from nfd_gym.runtime.open_world import open_world
from nfd_gym.runtime.threads import settle

Array = NDArray[np.float64]

PROTOCOL = SPEC.probes["plan"]
AHEAD, BUDGET = int(PROTOCOL["ahead"]), int(PROTOCOL["budget"])
NEAR, TURN = float(PROTOCOL["position"]), float(PROTOCOL["degrees"])
KNOTS = 5  # places that a plan's path goes through, evenly in time
SPREAD = 70.0  # pixels: deviation of the first samples
ELITE = 0.2  # share of samples that the next round is drawn around
DEGREE = 1.0  # pixels that a degree of the block's angle costs


class Model(Protocol):
    """Where plans are tried out."""

    def begin(self, frames: NDArray[np.uint8], actions: Array, state: Array) -> None:
        """From the last frames (T,H,W,3) and actions (T,2), or from the state (7,)."""

    def ends(self, paths: Array) -> Array:
        """States (N,5) after the actions (N,H,2)."""


class DreamModel:
    """A batch of learned worlds as their body knows them: poses read from pictures, then carried.

    In these worlds pictures are drawn at the poses and change none of them, so none is drawn here:
    the ends are those of dreams that are looked at.
    """

    def __init__(self, world: str) -> None:
        body = open_world(world).body
        if not isinstance(body, PushBody):
            raise UsageError(f"{world} has no body that pushes a thing; plan in the world pusht.")
        self.body = body

    def begin(self, frames: NDArray[np.uint8], actions: Array, state: Array) -> None:
        told = torch.from_numpy(np.stack([SPEC.codec.encode(a) for a in actions])).float()[None]
        poses = self.body.read(torch.from_numpy(frames)[None], told)
        self.pose, self.motion = poses[:, -1], self.body.start(poses, told)

    @torch.no_grad()
    def ends(self, paths: Array) -> Array:
        pose, motion = (part.expand(len(paths), -1) for part in (self.pose, self.motion))
        told = torch.from_numpy(2 * paths / SIDE - 1).float()  # as the codec encodes places
        for step in range(paths.shape[1]):
            pose, motion = self.body.step(pose, motion, told[:, step])
        return state_of(pose.double().numpy())


class TwinModel:
    """The game's physics."""

    def __init__(self) -> None:
        self.simulator = Simulator()

    def begin(self, frames: NDArray[np.uint8], actions: Array, state: Array) -> None:
        self.state = state

    def ends(self, paths: Array) -> Array:
        made = []
        for path in paths:
            pose = self.simulator.run(self.state, path)[-1]
            made.append([*self.simulator.game.agent.position, *pose])
        return np.array(made)


@dataclass(frozen=True)
class Search:
    """How plans are sought."""

    samples: int = 32
    rounds: int = 4
    replan: int = 10  # steps carried out of a plan before the next


def plan(
    ends: Callable[[Array], Array], place: Array, goal: Array, steps: int, how: Search,
    random: np.random.Generator,
) -> Array:  # fmt: skip
    """Actions (steps,2) from the agent's place to a goal state, by the cross-entropy method."""
    times = np.linspace(0, steps, KNOTS + 1)[1:]
    mean = place + (goal[:2] - place) * (times / steps)[:, None]
    spread = np.full_like(mean, SPREAD)
    best, least = mean, np.inf
    for _ in range(how.rounds):
        knots = mean + spread * random.normal(size=(how.samples, *mean.shape))
        knots[0] = best
        knots = knots.clip(0, SIDE)
        costs = cost(ends(np.stack([path(place, k, times, steps) for k in knots])), goal)
        order = costs.argsort()
        elite = knots[order[: max(2, round(ELITE * how.samples))]]
        mean, spread = elite.mean(0), elite.std(0) + 2.0
        if costs[order[0]] < least:
            best, least = knots[order[0]], float(costs[order[0]])
    return path(place, best, times, steps)


def path(place: Array, knots: Array, times: Array, steps: int) -> Array:
    """Targets (steps,2) on the straight lines from a place through knots at their times."""
    at = np.arange(1, steps + 1)
    through = np.concatenate([place[None], knots])
    when = np.concatenate([[0.0], times])
    return np.stack([np.interp(at, when, through[:, axis]) for axis in range(2)], -1)


def apart(state: Array, goal: Array) -> tuple[Array, Array]:
    """Distance of agent and block together in pixels (...,), and degrees (...,)."""
    pixels = np.linalg.norm(state[..., :4] - goal[:4], axis=-1)
    return pixels, np.degrees(angle_between(state[..., 4], goal[4]))


def cost(state: Array, goal: Array) -> Array:
    pixels, degrees = apart(state, goal)
    return np.asarray(pixels + DEGREE * degrees)


def reached(state: Array, goal: Array) -> bool:
    pixels, degrees = apart(state, goal)
    return bool(pixels < NEAR and degrees < TURN)


def attempt(
    model: Model, start: Array, goal: Array, how: Search, random: np.random.Generator, tail: int
) -> bool:
    """Whether the goal state (5,) is reached in the real game from a state (7,)."""
    env = PushTEnv()
    frame, info = env.reset(options={"state": start})
    frames, actions = [frame], [info["state"][:2]]
    left = BUDGET
    while left > 0:
        state = np.concatenate([info["state"], info["velocity"]])
        model.begin(np.stack(frames[-tail:]), np.stack(actions[-tail:]), state)
        steps = min(left, AHEAD)
        for action in plan(model.ends, state[:2], goal, steps, how, random)[: how.replan]:
            frame, _, _, _, info = env.step(action.astype(np.float32))
            frames.append(frame)
            actions.append(action)
            left -= 1
            if reached(info["state"], goal):
                return True
    return False


def tasks(data: Path, count: int) -> list[tuple[str, Array, Array]]:
    """(player, start (7,), goal (5,)) from recorded runs, spread evenly; only stretches that
    are not reached already at their start."""
    source, found = open_source(data), []
    for index, name in enumerate(source.names):
        clip = source.read(index)
        rows = np.concatenate([clip.state["state"], clip.state["velocity"]], -1).astype(float)
        about = source.index.about or {} if isinstance(source, VPTSource) else {}
        for first in range(5, len(rows) - AHEAD, 3 * AHEAD):
            start, goal = rows[first], rows[first + AHEAD, :5]
            if not reached(start[:5], goal):
                found.append((str(about.get(name, {}).get("player")), start, goal))
    chosen = ((np.arange(count) + 0.5) / count * len(found)).astype(int)
    return [found[i] for i in chosen]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--world", default="pusht", help="a shipped world or a folder")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="runs for goals")
    parser.add_argument("--goals", type=int, default=50, metavar="N")
    parser.add_argument("--inside", choices=("dream", "twin"), default="dream")
    parser.add_argument("--samples", type=int, default=Search.samples)
    parser.add_argument("--rounds", type=int, default=Search.rounds)
    parser.add_argument("--replan", type=int, default=Search.replan, metavar="STEPS")
    results.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Prints the share of goals reached, by who recorded them."""
    how = Search(args.samples, args.rounds, args.replan)
    if args.inside == "dream":
        model: Model = DreamModel(args.world)
        tail = open_world(args.world).denoiser.config.window + 1
    else:
        model, tail = TwinModel(), 1
    began, won = time.monotonic(), []
    goals = tasks(args.data, args.goals)
    for number, (player, start, goal) in enumerate(goals):
        done = attempt(model, start, goal, how, np.random.default_rng(number), tail)
        won.append(done)
        print(f"{number + 1}: {player}, {'reached' if done else 'missed'}", file=sys.stderr)
    minutes = (time.monotonic() - began) / 60
    rows: list[list[Any]] = []
    for name in ("all", *sorted({player for player, *_ in goals})):
        of = [
            float(w) for w, (player, *_) in zip(won, goals, strict=True) if name in ("all", player)
        ]
        span = interval(of)
        rows.append([name, len(of), span.mean, span.low, span.high])
    table = {"columns": ["goals from", "goals", "reached", "low", "high"], "rows": rows}
    command = (
        f"python -m agents.plan --world {args.world} --data {args.data} --goals {args.goals} "
        f"--inside {args.inside} --samples {how.samples} --rounds {how.rounds} "
        f"--replan {how.replan}"
    )
    figures = {"table": table, "minutes": minutes}
    print(results.markdown(results.keep(args, f"pusht-plan-{args.inside}", figures, command)))
    return 0


if __name__ == "__main__":
    settle()
    parser = argparse.ArgumentParser(
        prog="python -m agents.plan", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_arguments(parser)
    sys.exit(parse_and_run(parser, main, sys.argv[1:]))
