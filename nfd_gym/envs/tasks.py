"""What an agent is asked to do. Tasks see facts, never pixels.

So one task runs on the twin, where the game logs the facts, and in the dream, where they are what
the world's heads believe.

| task      | reward per tick                                       | ends                   |
|-----------|-------------------------------------------------------|------------------------|
| `explore` | 1 for every 4 m x 4 m cell entered for the first time | when a head says `end` |
| `travel`  | metres farther from the start than ever before        | when a head says `end` |
| `chop`    | 1 for every tree trunk block dug                      | when a head says `end` |
| `dig`     | 1 for every block dug, trunks and leaves included     | when a head says `end` |
| none      | 0                                                     | when a head says `end` |

The twin has no `end` head: there an episode lasts until its time limit.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nfd_gym.actions import KeysAndMouse
from nfd_gym.data.clip import is_trunk
from nfd_gym.settings import nearest

CELL_METRES = 4.0
BELIEF = 0.5  # a head's probability from which on the dream counts an event as happened


class Happening(Protocol):
    """Anything with the two fields of `nfd_gym.data.clip.Event` that tasks read."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Facts:
    """What is known about one tick. `outputs` are head probabilities by name, empty on the twin."""

    position: tuple[float, float, float] | None = None
    events: Sequence[Happening] = ()
    outputs: Mapping[str, float] = field(default_factory=dict)


class Task(Protocol):
    """One noun with two verbs; `step` returns reward, terminated and the terms for `info`."""

    name: str
    needs_position: bool

    def reset(self, facts: Facts) -> None: ...
    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]: ...

    # What `step` depends on, as JSON: undo, forks and saved states carry it along.
    def memory(self) -> Any: ...
    def remember(self, memory: Any) -> None: ...


def _ground(facts: Facts, task: str) -> tuple[float, float]:
    if facts.position is None:
        raise ValueError(f"the task {task} needs positions, and this world reports none.")
    x, _, z = facts.position
    return x, z


def _ended(facts: Facts) -> bool:
    return facts.outputs.get("end", 0.0) >= BELIEF


class _Edge:
    """Counts a head's event once, when belief rises past the threshold: it often stays high for two
    or three frames, because the picture shows a broken block a frame after the log does."""

    def __init__(self) -> None:
        self.high = False

    def step(self, probability: float) -> int:
        rose = probability >= BELIEF and not self.high
        self.high = probability >= BELIEF
        return int(rose)


class Explore:
    """Reward for new ground covered."""

    name = "explore"
    needs_position = True

    def __init__(self) -> None:
        self._cells: set[tuple[int, int]] = set()

    def reset(self, facts: Facts) -> None:
        """The cell where the episode begins earns nothing."""
        self._cells = {self._cell(facts)}

    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]:
        cell = self._cell(facts)
        new = cell not in self._cells
        self._cells.add(cell)
        return float(new), _ended(facts), {"cells": float(len(self._cells))}

    def memory(self) -> Any:
        return sorted(self._cells)

    def remember(self, memory: Any) -> None:
        self._cells = {(int(x), int(z)) for x, z in memory}

    def _cell(self, facts: Facts) -> tuple[int, int]:
        x, z = _ground(facts, self.name)
        return math.floor(x / CELL_METRES), math.floor(z / CELL_METRES)


class Travel:
    """Reward for getting away: a circle, however much ground it covers, soon earns nothing."""

    name = "travel"
    needs_position = True

    def __init__(self) -> None:
        self._start, self._farthest = (0.0, 0.0), 0.0

    def reset(self, facts: Facts) -> None:
        self._start, self._farthest = _ground(facts, self.name), 0.0

    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]:
        away = math.dist(_ground(facts, self.name), self._start)
        reward = max(0.0, away - self._farthest)
        self._farthest += reward
        return reward, _ended(facts), {"metres": self._farthest}

    def memory(self) -> Any:
        return [*self._start, self._farthest]

    def remember(self, memory: Any) -> None:
        x, z, self._farthest = (float(value) for value in memory)
        self._start = x, z


class Dig:
    """Reward for every block dug."""

    name = "dig"
    needs_position = False

    def __init__(self) -> None:
        self._edge, self._count = _Edge(), 0

    def reset(self, facts: Facts) -> None:
        self._edge, self._count = _Edge(), 0

    def counts(self, event: Happening) -> bool:
        return event.kind == "dig"

    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]:
        done = sum(self.counts(event) for event in facts.events)
        done += self._edge.step(facts.outputs.get(self.name, 0.0))
        self._count += done
        return float(done), _ended(facts), {"blocks": float(self._count)}

    def memory(self) -> Any:
        return [self._count, self._edge.high]

    def remember(self, memory: Any) -> None:
        self._count, self._edge.high = int(memory[0]), bool(memory[1])


class Chop(Dig):
    """Reward for every trunk block dug."""

    name = "chop"

    def counts(self, event: Happening) -> bool:
        return event.kind == "dig" and is_trunk(event.name)


class Idle:
    """No task: reward 0."""

    name = "none"
    needs_position = False

    def reset(self, facts: Facts) -> None:
        """Nothing to remember."""

    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]:
        return 0.0, _ended(facts), {}

    def memory(self) -> Any:
        return None

    def remember(self, memory: Any) -> None:
        """Nothing to remember."""


TASKS: dict[str, type[Explore] | type[Travel] | type[Dig]] = {
    task.name: task for task in (Explore, Travel, Chop, Dig)
}


def make_task(task: str | Task | None) -> Task:
    """The task of that name; a Task object passes through; None is no task."""
    if task is None:
        return Idle()
    if not isinstance(task, str):
        return task
    if task not in TASKS:
        raise ValueError(f"no task {task!r}; did you mean {nearest(task, tuple(TASKS))!r}?")
    return TASKS[task]()


class DeadReckoning:
    """Where the commanded motion would lead on open flat ground: the only position a dream has.

    It does not know of walls, so `explore` in a dream rewards walking against them as well; compare
    such scores with the twin's only for agents that keep moving. Speeds are the twin's, measured:
    3.9 m/s in all directions, reached within 4 ticks, 1.35 m/s while sneaking.
    """

    WALK = 3.9 / 20  # metres per tick
    SNEAK = 1.35 / 20
    TICKS_TO_SPEED = 4

    def __init__(self, codec: KeysAndMouse) -> None:
        self._codec = codec
        self.reset()

    def reset(self) -> None:
        self._yaw = 0.0
        self._at: NDArray[np.float64] = np.zeros(2)  # x, z
        self._speed: NDArray[np.float64] = np.zeros(2)

    def step(self, vector: NDArray[np.float32]) -> tuple[float, float, float]:
        """Position after one action vector (A,), in metres from the start."""
        held = set(self._codec.keys(vector))
        self._yaw += math.radians(float(self._codec.rotation(vector)[1]))
        ahead = np.array([-math.sin(self._yaw), math.cos(self._yaw)])
        right = np.array([-math.cos(self._yaw), -math.sin(self._yaw)])
        wish = ahead * (("forward" in held) - ("back" in held))
        wish = wish + right * (("right" in held) - ("left" in held))
        length = float(np.hypot(*wish))
        if length:
            wish *= (self.SNEAK if "sneak" in held else self.WALK) / length
        change = wish - self._speed
        most = self.WALK / self.TICKS_TO_SPEED
        self._speed = self._speed + change * min(1.0, most / max(float(np.hypot(*change)), 1e-9))
        self._at = self._at + self._speed
        return float(self._at[0]), 0.0, float(self._at[1])

    def memory(self) -> Any:
        return [self._yaw, self._at.tolist(), self._speed.tolist()]

    def remember(self, memory: Any) -> None:
        self._yaw, self._at, self._speed = memory[0], np.array(memory[1]), np.array(memory[2])
