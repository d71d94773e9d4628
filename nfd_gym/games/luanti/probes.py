"""Probes: fixed scripts that ask one question each, for recordings that a world is measured by."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nfd_gym.keyboard import KEYS

Tick = tuple[frozenset[str], float, float]  # keys, degrees to the right, degrees down
HALL = {"position": (-5.0, 0.5), "yaw": 0.0, "pitch": 5.0}  # before the hut
PATH = {"position": (-5.0, -1.0), "yaw": 180.0, "pitch": 5.0}  # down the path to the jetty
MEADOW = {"position": (-20.0, -8.0), "yaw": 60.0, "pitch": 5.0}
SHORE = {"position": (50.0, 0.0), "yaw": 90.0, "pitch": 5.0}  # on the sea, the island ahead
SUMMIT = {"position": (17.0, 21.0), "yaw": 143.0, "pitch": 5.0}  # four steps from the cliff's edge


def hold(ticks: int, *keys: str, right: float = 0.0, down: float = 0.0) -> list[Tick]:
    return [(frozenset(keys), right, down)] * ticks


class Probe:
    """A script of ticks from a fixed place; called with a seed it is a player of that script."""

    def __init__(self, place: dict[str, Any], *parts: Iterable[Tick]) -> None:
        self.place = place
        self.script: list[Tick] = [tick for part in parts for tick in part]

    @property
    def length(self) -> int:
        """Frames: the first one comes without an action."""
        return len(self.script) + 1

    def __call__(self, seed: int) -> "ProbePlayer":
        return ProbePlayer(self.script)


class ProbePlayer:
    """Plays a script tick by tick, whatever happens."""

    name = "probe"

    def __init__(self, script: list[Tick]) -> None:
        self._ticks = iter(script)

    def act(self, info: Mapping[str, Any]) -> dict[str, Any]:
        keys, right, down = next(self._ticks)
        camera = np.array([down, right], np.float32)
        return {**{key: int(key in keys) for key in KEYS}, "camera": camera}


def turn(degrees: int, place: dict[str, Any]) -> Probe:
    """To the right by that angle, a second's rest, and back; 360 comes round by itself."""
    there = hold(degrees // 3, right=3.0)
    back = [] if degrees == 360 else hold(degrees // 3, right=-3.0)
    return Probe(place, hold(20), there, hold(20), back, hold(40))


def walk(metres: int, place: dict[str, Any]) -> Probe:
    """Forward, half a turn, forward again as far, half a turn: the first view."""
    ticks = round(metres / 0.2)
    half = hold(60, right=3.0)
    return Probe(
        place, hold(20), hold(ticks, "forward"), half, hold(ticks, "forward"), half, hold(40)
    )


def edit(button: str, key: str, place: dict[str, Any]) -> Probe:
    """Looks down, digs or places three times, backs away, turns away and comes back to look."""
    return Probe(
        place, hold(10), hold(10, right=0.0, down=3.0), hold(2, key), hold(12, button), hold(20),
        hold(60, right=3.0), hold(20), hold(60, right=-3.0), hold(20),
        hold(20, "back"), hold(30, right=3.0), hold(20), hold(30, right=-3.0),
        hold(20, "forward"), hold(40),
    )  # fmt: skip


PROBES: dict[str, Probe] = {
    **{f"turn-{angle}": turn(angle, HALL) for angle in (45, 90, 180, 360)},
    **{f"turn-{angle}-meadow": turn(angle, MEADOW) for angle in (45, 90, 180, 360)},
    **{f"walk-{metres}": walk(metres, PATH) for metres in (5, 15, 40)},
    "walk-5-meadow": walk(5, MEADOW),
    "dig": edit("attack", "hotbar.1", PATH),
    "dig-hall": edit("attack", "hotbar.1", HALL),
    "place-brick": edit("use", "hotbar.1", PATH),
    "place-plank-shore": edit("use", "hotbar.2", SHORE),
    "place-violet": edit("use", "hotbar.3", HALL),
    "wall": Probe(
        {"position": (-8.0, 2.0), "yaw": 0.0, "pitch": 5.0},
        hold(10), hold(40, "forward"), hold(30, "forward", "left"), hold(30, "forward", "right"),
        hold(20, "back"), hold(40, "forward", "jump"), hold(20),
    ),
    "stand": Probe(HALL, hold(1200)),
    "stand-meadow": Probe(MEADOW, hold(1200)),
    "jump": Probe(MEADOW, hold(10), *[hold(4, "jump") + hold(14)] * 4, hold(40, "jump"), hold(20)),
    "fall": Probe(SUMMIT, hold(20), hold(60, "forward"), hold(60)),
}  # fmt: skip
