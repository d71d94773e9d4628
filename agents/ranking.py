"""Does the learned PushT rank policies as the game does?

    python -m agents.ranking --world pusht --episodes 20 --publish

Every policy plays the same starts in the dream and in the game; its return is the reward summed
over `--horizon` steps. Policies see what both worlds can show: the state in the picture, and the
agent's velocity as the difference of two pictures. In the dream both are read from its pictures.
`--film FILE.gif` plays one episode of the best policy in the dream instead, and shows beside it the
game under the same actions.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

import nfd_gym  # noqa: F401  registers the worlds
from agents.scores import Interval, interval, rank_interval
from nfd_gym.command import parse_and_run
from nfd_gym.eval import results
from nfd_gym.eval.video import side_by_side, write_gif
from nfd_gym.games.pusht.env import PushTEnv
from nfd_gym.games.pusht.players import Jerky, Player, Pusher, Pushes, Smooth
from nfd_gym.games.pusht.spec import SPEC
from nfd_gym.games.pusht.task import STATE
from nfd_gym.progress import Progress
from nfd_gym.runtime.threads import settle

Array = NDArray[np.float64]


class Still:
    """Stays where it is."""

    def start(self, rng: np.random.Generator) -> Array:
        return Pushes(rng).start(rng)

    def act(self, state: Array) -> Array:
        return state[:2]


class Chooser(Pusher):
    """The pusher that chooses among so many pushes, under so much noise in pixels."""

    def __init__(self, rng: np.random.Generator, candidates: int, noise: float) -> None:
        super().__init__(rng)
        self.CANDIDATES, self.noise = candidates, noise


Maker = Callable[[np.random.Generator], Player]


def chooser(candidates: int, noise: float = 1.0) -> Maker:
    return lambda rng: Chooser(rng, candidates, noise)


POLICIES: dict[str, Maker] = {
    "still": lambda rng: Still(),
    "jerky": Jerky,
    "smooth": Smooth,
    "pushes": Pushes,
    "best of 2 pushes": chooser(2),
    "best of 4": chooser(4),
    "best of 8": chooser(8),
    "best of 16": chooser(16),
    "best of 32": chooser(32),
    "best of 32, noise of 15 pixels": chooser(32, 15.0),
    "best of 32, noise of 30 pixels": chooser(32, 30.0),
    "best of 32, noise of 60 pixels": chooser(32, 60.0),
}


class Twin:
    """The game."""

    def __init__(self) -> None:
        self.env = PushTEnv()

    def begin(self, start: Array) -> Array:
        self.frame, info = self.env.reset(options={"state": start})
        return np.asarray(info["state"], np.float64)

    def step(self, action: Array) -> tuple[Array, float, bool]:
        self.frame, reward, ended, _, info = self.env.step(action.astype(np.float32))
        return np.asarray(info["state"], np.float64), reward, ended


class Dream:
    """The learned world, begun from the game's first picture."""

    def __init__(self, world: str) -> None:
        self.env, self.twin = gymnasium.make("NFD-PushT-v0", world=world), PushTEnv()

    def begin(self, start: Array) -> Array:
        self.frame, info = self.twin.reset(options={"state": start})
        self.env.reset(seed=0, options={"frames": self.frame[None]})
        return np.asarray(info["state"], np.float64)

    def step(self, action: Array) -> tuple[Array, float, bool]:
        self.frame, reward, ended, _, info = self.env.step(action.astype(np.float32))
        terms = info["reward_terms"]
        return np.array([terms[name] for name in STATE]), float(reward), ended


def decide(policy: Player, state: Array, before: Array) -> Array:
    """The action (2,) at a state (5,) after another one."""
    return policy.act(np.concatenate([state, (state[:2] - before[:2]) * SPEC.fps]))


def play(world: Twin | Dream, policy: Player, start: Array, horizon: int) -> float:
    """The return of one episode."""
    before = state = world.begin(start)
    total = 0.0
    for step in range(horizon):
        action, before = decide(policy, state, before), state
        state, reward, ended = world.step(action)
        total += reward
        if ended:  # the goal is reached and stays so
            return total + reward * (horizon - step - 1)
    return total


def returns(world: Twin | Dream, make: Maker, episodes: int, horizon: int) -> list[float]:
    """Returns of episodes 0, 1, ...; starts and the policy's draws depend on the number alone."""
    found = []
    for number in range(episodes):
        policy = make(np.random.default_rng([number, 3]))
        found.append(play(world, policy, start_of(number), horizon))
    return found


def start_of(number: int) -> Array:
    """The state (7,) in which episode `number` begins."""
    start = Pusher(np.random.default_rng([number, 1])).start(np.random.default_rng([number, 2]))
    return np.append(start, [0.0, 0.0])


def film(dream: Dream, twin: Twin, policy: Player, start: Array, horizon: int) -> NDArray[np.uint8]:
    """Frames (T,H,W,3): the dream that a policy plays in, and the game under the same actions."""
    before = state = dream.begin(start)
    twin.begin(start)
    frames: tuple[list[Any], list[Any]] = [dream.frame], [twin.frame]
    ended = False
    while len(frames[0]) <= horizon and not ended:
        action, before = decide(policy, state, before), state
        (state, _, ended), _ = dream.step(action), twin.step(action)
        frames[0].append(dream.frame)
        frames[1].append(twin.frame)
    return side_by_side(*(np.stack(part) for part in frames))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--world", default="pusht", help="a shipped world or a folder")
    parser.add_argument("--episodes", type=int, default=20, metavar="N")
    parser.add_argument("--horizon", type=int, default=100, metavar="STEPS")
    parser.add_argument("--film", type=Path, metavar="FILE.gif", help="a film, and no table")
    parser.add_argument("--number", type=int, default=1, help="the episode that is filmed (1)")
    results.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Prints the table and the rank correlation."""
    dream, twin = Dream(args.world), Twin()
    if args.film is not None:
        policy = POLICIES["best of 32"](np.random.default_rng([args.number, 3]))
        shown = film(dream, twin, policy, start_of(args.number), args.horizon)
        write_gif(args.film, shown.repeat(2, 1).repeat(2, 2), SPEC.fps)
        return 0
    rows: list[list[Any]] = []
    pairs: list[tuple[list[float], list[float]]] = []
    with Progress(2 * len(POLICIES), "policies") as bar:
        for name, make in POLICIES.items():
            both: list[list[float]] = []
            for world in (dream, twin):
                both.append(returns(world, make, args.episodes, args.horizon))
                bar.add()
            pairs.append((both[0], both[1]))
            spans = [interval(values) for values in both]
            rows.append([name, *(number for s in spans for number in (s.mean, s.low, s.high))])
    rho: Interval = rank_interval([one for one, _ in pairs], [other for _, other in pairs])
    columns = ["policy", *(f"{world} {part}" for world in ("dream", "game")
                           for part in ("return", "low", "high"))]  # fmt: skip
    command = (
        f"python -m agents.ranking --world {args.world} --episodes {args.episodes} "
        f"--horizon {args.horizon}"
    )
    figures = {
        "table": {"columns": columns, "rows": rows}, "policies": len(rows),
        "rank_correlation": {"mean": rho.mean, "low": rho.low, "high": rho.high},
    }  # fmt: skip
    print(results.markdown(results.keep(args, "pusht-ranking", figures, command)))
    print(f"rank correlation of {len(rows)} policies: {rho}")
    return 0


if __name__ == "__main__":
    settle()
    parser = argparse.ArgumentParser(
        prog="python -m agents.ranking", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_arguments(parser)
    sys.exit(parse_and_run(parser, main, sys.argv[1:]))
