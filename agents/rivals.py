"""Who is scored: chance, habits, the scripted player, trained agents. All act tick by tick."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import gymnasium
import numpy as np
from numpy.typing import NDArray

from agents.scout import Scouts
from nfd_gym.agent import Policy
from nfd_gym.errors import UsageError
from nfd_gym.games.luanti.player import Player
from nfd_gym.keyboard import COMBINATIONS
from nfd_gym.settings import nearest
from nfd_gym.shipped import shipped

Frames = NDArray[np.uint8]
KINDS = (
    "random[:TICKS], noop, hold:COMBINATION, scripted[:nobuild], scout (Crafter's scripted one), "
    "AGENT.zip or blank:AGENT.zip (it sees grey)"
)
GREY = 127


class Rival(Protocol):
    """Somebody who plays B episodes at once."""

    name: str
    action_space: str | None  # the preset it acts in; None takes what the setup says
    facts: dict[str, Any]  # of trained agents: where, how long

    def begin(self, seeds: Sequence[int], space: gymnasium.Space[Any]) -> None: ...
    def act(self, frames: Frames, infos: Sequence[dict[str, Any]]) -> Sequence[Any]: ...


class Chance:
    """Uniform over the actions, each held for as long as the agents hold theirs."""

    action_space: str | None = None

    def __init__(self, hold: int) -> None:
        self.name, self.hold = f"random:{hold}", hold
        self.facts: dict[str, Any] = {}

    def begin(self, seeds: Sequence[int], space: gymnasium.Space[Any]) -> None:
        self._spaces = [copy.deepcopy(space) for _ in seeds]
        for one, seed in zip(self._spaces, seeds, strict=True):
            one.seed(seed)
        self._ticks, self._actions = 0, [one.sample() for one in self._spaces]

    def act(self, frames: Frames, infos: Sequence[dict[str, Any]]) -> Sequence[Any]:
        if self._ticks and self._ticks % self.hold == 0:
            self._actions = [one.sample() for one in self._spaces]
        self._ticks += 1
        return self._actions


class Habit:
    """One combination of keys and mouse, all the time."""

    action_space: str | None = "discrete"

    def __init__(self, combination: str) -> None:
        if combination not in COMBINATIONS:
            raise UsageError(
                f"no combination {combination!r}; did you mean "
                f"{nearest(combination, COMBINATIONS)!r}?"
            )
        self.name = "noop" if combination == "noop" else f"hold:{combination}"
        self.facts: dict[str, Any] = {}
        self._action = list(COMBINATIONS).index(combination)

    def begin(self, seeds: Sequence[int], space: gymnasium.Space[Any]) -> None:
        self._lanes = len(seeds)

    def act(self, frames: Frames, infos: Sequence[dict[str, Any]]) -> Sequence[Any]:
        return [self._action] * self._lanes


class Scripted:
    """The player that recorded the footage, told by `info` what is around; in a dream, blind."""

    action_space: str | None = "minerl"

    def __init__(self, build: bool = True) -> None:
        self.name, self.build = "scripted" if build else "scripted:nobuild", build
        self.facts: dict[str, Any] = {}

    def begin(self, seeds: Sequence[int], space: gymnasium.Space[Any]) -> None:
        self._players = [Player(seed, self.build) for seed in seeds]

    def act(self, frames: Frames, infos: Sequence[dict[str, Any]]) -> Sequence[Any]:
        return [player.act(info) for player, info in zip(self._players, infos, strict=True)]


class Trained:
    """An agent.zip; where it is blank it sees grey, as agents do that were trained so."""

    def __init__(self, path: Path, device: str, deterministic: bool, blank: bool = False) -> None:
        self.policy = Policy(path, device, deterministic)
        self.action_space: str | None = self.policy.codec.preset
        self.facts = self.policy.facts
        trained_blank = bool(self.facts.get("setup", {}).get("blank", False))
        self.blank = blank or trained_blank
        self.name = f"blank:{path}" if self.blank and not trained_blank else str(path)

    def begin(self, seeds: Sequence[int], space: gymnasium.Space[Any]) -> None:
        self.policy.begin(seeds)

    def act(self, frames: Frames, infos: Sequence[dict[str, Any]]) -> Sequence[Any]:
        return list(self.policy.act(np.full_like(frames, GREY) if self.blank else frames))


def make_rival(name: str, hold: int = 4, device: str = "cpu", deterministic: bool = False) -> Rival:
    """The rival that a word names; `hold` is how long "random" holds an action."""
    kind, _, detail = name.partition(":")
    if kind == "random" and (detail.isdigit() or not detail):
        return Chance(int(detail or hold))
    if name == "noop":
        return Habit("noop")
    if kind == "hold":
        return Habit(detail)
    if kind == "scripted" and detail in ("", "nobuild"):
        return Scripted(build=not detail)
    if name == "scout":
        return Scouts()
    agents, blank = shipped("agents"), kind == "blank"
    file = detail if blank else name
    if file.endswith(".zip") or file in agents:
        return Trained(agents.get(file, Path(file)), device, deterministic, blank)
    raise UsageError(f"no policy {name!r}; policies are {KINDS}.")
