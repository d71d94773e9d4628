"""Crafter's scripted player as a policy to be scored, and what Crafter's infos say."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from nfd_gym.games.crafter.readings import HudReader
from nfd_gym.games.crafter.seen import BEGIN, Scout, Seen
from nfd_gym.games.crafter.spec import ACHIEVEMENTS
from nfd_gym.games.crafter.tiles import TileReader

Frames = NDArray[np.uint8]


class Scouts:
    """Crafter's scripted player, who sees pictures alone; its map is what was in view."""

    action_space: str | None = None
    name = "scout"

    def __init__(self) -> None:
        self.readers = HudReader.from_game(), TileReader()
        self.facts: dict[str, Any] = {}

    def begin(self, seeds: Sequence[int], space: gymnasium.Space[Any]) -> None:
        self._lanes = [(Scout(np.random.default_rng(seed)), Seen(*self.readers)) for seed in seeds]

    def act(self, frames: Frames, infos: Sequence[dict[str, Any]]) -> Sequence[Any]:
        return [
            player.act(seen.look(frame, place_of(info), unlocked(info)))
            for (player, seen), frame, info in zip(self._lanes, frames, infos, strict=True)
        ]


def place_of(info: dict[str, Any]) -> tuple[int, int]:
    """Where on Crafter's map the game, or a dream that began in its middle, has the player."""
    if "position" in info:
        return int(info["position"][0]), int(info["position"][1])
    right, down = (round(float(axis)) for axis in info["pose"][:2])
    return BEGIN[0] + right, BEGIN[1] + down


def unlocked(info: dict[str, Any]) -> dict[str, int]:
    """Crafter's achievements so far (0 before the first step of a dream); none of other games."""
    counts = info.get("achievements", info.get("reward_terms", {}))
    return {name: int(counts.get(name, 0)) for name in ACHIEVEMENTS}
