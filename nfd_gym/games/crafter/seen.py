"""What one who only sees pictures knows of Crafter: the game's `info` from frames and places.

The map holds tiles as they were last in view; where nothing was seen it is 0. The same player can
so be let loose in the real game and in a learned world.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfd_gym.games.crafter.paths import marked, shortest
from nfd_gym.games.crafter.players import Achiever
from nfd_gym.games.crafter.readings import CENTRE, HudReader
from nfd_gym.games.crafter.spec import AREA, COUNTS, VIEW
from nfd_gym.games.crafter.tiles import TileReader

BEGIN = (AREA[0] // 2, AREA[1] // 2)  # where episodes of the game begin


class Seen:
    """The map of one episode."""

    def __init__(self, hud: HudReader, tiles: TileReader) -> None:
        self.hud, self.tiles = hud, tiles
        self.map = np.zeros(AREA, np.uint8)

    def look(
        self, frame: NDArray[np.uint8], place: tuple[int, int], done: Mapping[str, Any]
    ) -> dict[str, Any]:
        """`info` at a frame (H,W,3) seen from a place on the map; `done` are the achievements.

        Side effect: what is in view is remembered.
        """
        reading = self.tiles.read(frame[None])
        counts = self.hud.read(frame[None])[0][0]
        view = reading.view[0]
        x0, y0 = place[0] - CENTRE[0], place[1] - CENTRE[1]
        x, y = np.meshgrid(np.arange(VIEW[0]), np.arange(VIEW[1]), indexing="ij")
        inside = (x + x0 >= 0) & (x + x0 < AREA[0]) & (y + y0 >= 0) & (y + y0 < AREA[1])
        self.map[x[inside] + x0, y[inside] + y0] = view[inside]
        facing = reading.facing[0]
        return {
            "inventory": {name: int(n) for name, n in zip(COUNTS, counts, strict=True)},
            "achievements": {name: int(value) for name, value in done.items()},
            "position": place,
            "facing": (int(facing[0]), int(facing[1])),
            "semantic": self.map,
            "asleep": bool(reading.asleep[0]),
            "daylight": float(reading.daylight[0]),
        }


class Scout(Achiever):
    """The achiever who knows what was seen: where there is nothing to do it looks for more map."""

    def stroll(self) -> str | None:
        return self.explore() or super().stroll()

    def explore(self) -> str | None:
        """Towards the nearest tile that was never in view."""
        unseen = marked(self.map, ("none",))
        unseen[[0, -1]], unseen[:, [0, -1]] = False, False
        way = shortest(self.enter, self.at, unseen)
        self._way, self._aim = way, ("explore",)
        return self._follow() if way else None
