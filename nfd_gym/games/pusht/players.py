"""Scripted players of PushT: model-predictive pusher, random pushes, smooth and jerky targets.

A player sees the state (7,) of `env.read` and answers with an action (2,); its randomness is given.
"""

from collections import deque
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nfd_gym.extras import need
from nfd_gym.games.pusht.env import place
from nfd_gym.games.pusht.readings import angle_between, block_corners
from nfd_gym.games.pusht.spec import GOAL, SIDE

Array = NDArray[np.float64]

NOISE = (1.0, 4.0, 8.0)  # pixels: an episode's standard deviation, added to every action
NEAR, FAR = 12.0, SIDE - 12.0  # targets stay this far inside the table
MARGIN = 70.0  # pushes end before the pushed point is this near to a wall
START = np.array([[50.0, 50, 100, 100, -np.pi], [450.0, 450, 400, 400, np.pi]])
NEAR_GOAL = np.array([70.0, 70.0, 0.7])  # block x, y, angle around the goal


class Player(Protocol):
    def start(self, rng: np.random.Generator) -> Array: ...
    def act(self, state: Array) -> Array: ...


class Simulator:
    """The game's physics without pictures or rewards."""

    def __init__(self) -> None:
        self.game: Any = need("gym_pusht.envs.pusht", "robotics").PushTEnv(obs_type="state")

    def run(self, state: Array, actions: Array) -> Array:
        """Block poses (H, 3) after each of the actions (H, 2)."""
        game = self.game
        place(game, state)
        agent, block, space, dt = game.agent, game.block, game.space, game.dt
        poses = np.empty((len(actions), 3))
        for index, (x, y) in enumerate(actions.tolist()):
            for _ in range(10):
                (px, py), (vx, vy) = agent.position, agent.velocity
                ax, ay = game.k_p * (x - px) - game.k_v * vx, game.k_p * (y - py) - game.k_v * vy
                agent.velocity = vx + ax * dt, vy + ay * dt
                space.step(dt)
            poses[index] = (*block.position, block.angle)
        return poses


def random_state(rng: np.random.Generator) -> Array:
    return np.asarray(rng.uniform(*START), np.float64)


def middle(pose: Array) -> Array:
    """Middle (2,) of the block's eight corners."""
    return np.asarray(block_corners(pose).mean((0, 1)), np.float64)


def push(rng: np.random.Generator, state: Array, start: Array, aim: Array, length: float) -> Array:
    """Targets (H, 2): to `start` at a brisk walk, then `length` pixels through `aim`."""
    along = (aim - start) / max(float(np.linalg.norm(aim - start)), 1e-6)
    steps = int(np.ceil(np.linalg.norm(start - state[:2]) / 55.0))
    there = state[:2] + (start - state[:2]) * np.linspace(0, 1, steps + 1)[1:, None]
    strokes = max(2, round(length / rng.uniform(5.0, 22.0)))
    through = start + along * length * np.linspace(0, 1, strokes + 1)[1:, None]
    return np.asarray(np.concatenate([there, through]).clip(NEAR, FAR), np.float64)


def aimed_push(rng: np.random.Generator, state: Array) -> Array:
    """A push through a random point of the block that keeps it on the table: from here, or from a
    place around the block."""
    corners = block_corners(state[2:5])[rng.integers(2)]
    aim = rng.dirichlet(np.ones(4)) @ corners
    away = float(np.linalg.norm(state[:2] - aim))
    if 1.0 < away < 180 and rng.random() < 0.65:
        room = _room(aim, (aim - state[:2]) / away)
        if room > 30:
            return push(rng, state, state[:2], aim, away + min(room, rng.uniform(20, 150)))
    best: tuple[float, Array, float] = (-np.inf, state[:2], 0.0)
    for heading in rng.uniform(-np.pi, np.pi, 4):
        along = np.array([np.cos(heading), np.sin(heading)])
        reach = rng.uniform(75, 115)
        start, room = aim - reach * along, _room(aim, along)
        outside = float(np.abs(start - start.clip(NEAR, FAR)).sum())
        value = min(room, 120.0) - 3 * outside + rng.uniform(0, 60)
        if value > best[0]:
            best = (
                value,
                start.clip(NEAR, FAR),
                reach + max(10.0, min(room, rng.uniform(30, 170))),
            )
    return push(rng, state, best[1], aim, best[2])


def _room(aim: Array, along: Array) -> float:
    """Pixels that a point can move in a direction (2,) before it is within MARGIN of a wall."""
    ends = np.where(along > 0, SIDE - MARGIN, MARGIN)
    along = np.where(np.abs(along) < 1e-6, 1e-6, along)
    return float(((ends - aim) / along).min())


class Pushes:
    """One random push through the block after the other."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.noise = rng, float(rng.choice(NOISE))
        self.queue: deque[Array] = deque()

    def start(self, rng: np.random.Generator) -> Array:
        return random_state(rng)

    def act(self, state: Array) -> Array:
        if not self.queue:
            self.queue.extend(self.plan(state))
        return (self.queue.popleft() + self.rng.normal(0, self.noise, 2)).clip(0, SIDE)

    def plan(self, state: Array) -> Array:
        return aimed_push(self.rng, state)


class Pusher(Pushes):
    """Model-predictive control: the best of sampled pushes in the simulator, begun, then again."""

    CANDIDATES, HORIZON, KEEP = 32, 14, 8
    HASTE = 0.06  # pixels of cost a step: soon is better than late

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng)
        self.simulator = Simulator()
        self.goal = block_corners(GOAL)

    def start(self, rng: np.random.Generator) -> Array:
        """Half of the episodes begin near the goal, where precision is learned."""
        state = random_state(rng)
        if rng.random() < 0.5:
            state[2:5] = GOAL + rng.uniform(-1, 1, 3) * NEAR_GOAL
        return state

    def plan(self, state: Array) -> Array:
        best: tuple[float, Array] = (np.inf, state[None, :2])
        for _ in range(self.CANDIDATES):
            targets = aimed_push(self.rng, state)[: self.HORIZON]
            costs = self.cost(self.simulator.run(state, targets))
            costs = costs + self.HASTE * np.arange(len(costs))
            when = int(costs.argmin())
            if costs[when] < best[0]:
                best = (float(costs[when]), targets[: max(when + 1, 3)])
        return best[1][: self.KEEP]

    def cost(self, poses: Array) -> Array:
        """Mean distance (H,) of the block's corners from where the goal has them."""
        apart = np.linalg.norm(block_corners(poses) - self.goal, axis=-1)
        return np.asarray(apart.mean((-2, -1)), np.float64)


class Smooth(Pushes):
    """Slow curves over the table: sums of sines, every other one drawn towards the block."""

    def plan(self, state: Array) -> Array:
        rng, steps = self.rng, int(self.rng.integers(30, 80))
        time = np.arange(1, steps + 1)[:, None] / 10
        waves = rng.uniform(0.1, 0.5, (3, 1, 2)) * time + rng.uniform(0, 1, (3, 1, 2))
        curve = np.sin(2 * np.pi * waves).sum(0) * rng.uniform(30, 110)
        centre = middle(state[2:5]) if rng.random() < 0.5 else rng.uniform(80, SIDE - 80, 2)
        blend = np.minimum(1, time / 1.5)
        return np.asarray(state[:2] * (1 - blend) + (centre + curve) * blend, np.float64)


class Jerky(Pushes):
    """Targets anywhere, held for one to six steps."""

    def plan(self, state: Array) -> Array:
        target = self.rng.uniform(0, SIDE, 2)
        if self.rng.random() < 0.4:
            target = middle(state[2:5]) + self.rng.normal(0, 60, 2)
        return np.repeat(target[None], self.rng.integers(1, 7), 0)


PLAYERS: dict[str, type[Pushes]] = {
    "pusher": Pusher,
    "pushes": Pushes,
    "smooth": Smooth,
    "jerky": Jerky,
}


def errors(state: Array, goal: Array) -> tuple[float, float]:
    """Block error of one state against another: pixels of 512 and degrees."""
    apart = float(np.linalg.norm(state[2:4] - goal[2:4]))
    return apart, float(np.degrees(angle_between(state[4], goal[4])))
