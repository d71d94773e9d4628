"""What both envs are made from, and what a reset and a step of them give."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfd_gym.envs.tasks import Task
from nfd_gym.errors import ArgumentError, UsageError
from nfd_gym.runtime.starts import Start
from nfd_gym.settings import nearest

STARTS = ("clips", "anywhere")


@dataclass(frozen=True, kw_only=True)
class DreamSettings:
    """The keyword arguments of both envs, documented at `NFDEnv`."""

    action_space: str | None = None
    task: str | Task | None = None
    size: tuple[int, int] | None = None
    device: str = "cpu"
    engine: str = "auto"
    steps: int | None = None
    speculate: str = "off"
    starts: str = "clips"
    start_index: int = 0
    num_starts: int | None = None
    split: str | None = None
    max_episode_steps: int | None = None
    max_drift: float | None = None
    frame_skip: int = 1
    depth: bool = False
    timings: bool = False

    def __post_init__(self) -> None:
        if self.max_drift is not None and not self.max_drift > 0:
            raise UsageError(f"max_drift must be above 0 (1 is ordinary), got {self.max_drift}.")
        if self.starts not in STARTS:
            raise UsageError(f"starts is one of {', '.join(STARTS)}, got {self.starts!r}.")
        for name in ("max_episode_steps", "frame_skip"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, got {value}.")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise UsageError(f"size is (width, height), such as (96, 56), got {self.size!r}.")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "DreamSettings":
        """From keyword arguments; a wrong name gets the nearest right one."""
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise ArgumentError(f"no argument {name!r}; did you mean {nearest(name, known)!r}?")
        return cls(**options)


@dataclass(frozen=True)
class ResetResult:
    """How an episode began."""

    start: Start
    seed: int
    clip: int | None  # the start clip's index; None for the user's own frames


@dataclass(frozen=True)
class StepResult:
    """What one tick did to every environment."""

    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    infos: list[dict[str, Any]]


def check_rng(state: Any) -> None:
    """Refuse what is no state of a generator."""
    np.random.Generator(np.random.PCG64()).bit_generator.state = state
