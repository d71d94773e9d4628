"""What an agent is asked to do. Tasks see facts.

So one task runs in the real game, where facts are logged, and in a learned world, where position
and events are those of the world's own body. A flat world has no body: its task reads the facts
from the frame (`needs_frame`) and comes with its game, named as "module:Class".

| task      | reward per tick                                       |
|-----------|-------------------------------------------------------|
| `explore` | 1 for every 4 m x 4 m cell entered for the first time |
| `travel`  | metres farther from the start than ever before        |
| `chop`    | 1 for every tree trunk block dug (real game only)     |
| `dig`     | 1 for every block dug, trunks and leaves included     |
| none      | 0                                                     |

None of these ends an episode: it lasts until its time limit. The island adds `goto-tower`,
`goto-lighthouse`, `goto-hut` (which end on arrival) and `tower` (`nfd_gym.games.luanti.task`).
"""

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nfd_gym.data.clip import is_trunk
from nfd_gym.errors import UsageError
from nfd_gym.settings import nearest

CELL_METRES = 4.0


class EventLike(Protocol):
    """Anything with the fields of `nfd_gym.data.clip.Event` that tasks read."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def pos(self) -> tuple[float, float, float] | None: ...


@dataclass(frozen=True)
class Facts:
    """What is known about one tick."""

    position: tuple[float, float, float] | None = None  # of the eye
    events: Sequence[EventLike] = ()
    frame: NDArray[np.uint8] | None = None  # (H,W,3), for tasks with `needs_frame`
    action: NDArray[np.float32] | None = None  # (A,) codec vector that produced this tick
    pose: tuple[float, ...] | None = None  # where the world drew things, if its body reads pictures


class Task(Protocol):
    """One noun with two verbs; `step` returns reward, terminated and the terms for `info`."""

    name: str
    needs_position: bool

    def reset(self, facts: Facts) -> None: ...
    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]: ...

    # What `step` depends on, as JSON: undo, forks and saved states carry it along.
    def get_state(self) -> Any: ...
    def set_state(self, state: Any) -> None: ...


def _ground(facts: Facts, task: str) -> tuple[float, float]:
    if facts.position is None:
        raise UsageError(f"the task {task} needs positions, and this world reports none.")
    x, _, z = facts.position
    return x, z


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
        return float(new), False, {"cells": float(len(self._cells))}

    def get_state(self) -> Any:
        return sorted(self._cells)

    def set_state(self, state: Any) -> None:
        self._cells = {(int(x), int(z)) for x, z in state}

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
        return reward, False, {"metres": self._farthest}

    def get_state(self) -> Any:
        return [*self._start, self._farthest]

    def set_state(self, state: Any) -> None:
        x, z, self._farthest = (float(value) for value in state)
        self._start = x, z


class Dig:
    """Reward for every block dug."""

    name = "dig"
    needs_position = False
    needs_events = True

    def __init__(self) -> None:
        self._count = 0

    def reset(self, facts: Facts) -> None:
        self._count = 0

    def counts(self, event: EventLike) -> bool:
        return event.kind == "dig"

    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]:
        done = sum(self.counts(event) for event in facts.events)
        self._count += done
        return float(done), False, {"blocks": float(self._count)}

    def get_state(self) -> Any:
        return self._count

    def set_state(self, state: Any) -> None:
        self._count = int(state)


class Chop(Dig):
    """Reward for every trunk block dug."""

    name = "chop"
    needs_nodes = True

    def counts(self, event: EventLike) -> bool:
        return event.kind == "dig" and is_trunk(event.name)


class Idle:
    """No task: reward 0."""

    name = "none"
    needs_position = False

    def reset(self, facts: Facts) -> None:
        """Nothing to remember."""

    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]:
        return 0.0, False, {}

    def get_state(self) -> Any:
        return None

    def set_state(self, state: Any) -> None:
        """Nothing to remember."""


ISLAND = "nfd_gym.games.luanti.task:"
TASKS: dict[str, Callable[[], Task] | str] = {
    **{task.name: task for task in (Explore, Travel, Chop, Dig)},
    "goto-tower": ISLAND + "GotoTower",
    "goto-lighthouse": ISLAND + "GotoLighthouse",
    "goto-hut": ISLAND + "GotoHut",
    "tower": ISLAND + "Pillar",
}


def make_task(task: str | Task | None) -> Task:
    """The task of that name; a Task object passes through; None is no task."""
    if task is None:
        return Idle()
    if not isinstance(task, str):
        return task
    if ":" in task:
        return _imported(task)
    if task not in TASKS:
        raise UsageError(f"no task {task!r}; did you mean {nearest(task, tuple(TASKS))!r}?")
    made = TASKS[task]
    return _imported(made) if isinstance(made, str) else made()


def _imported(entry: str) -> Task:
    """The task of an entry point "module:Class"."""
    module, _, name = entry.partition(":")
    try:
        made: Task = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"no task {entry!r} ({error}); give 'module:Class' of a class that makes a Task."
        ) from error
    return made
