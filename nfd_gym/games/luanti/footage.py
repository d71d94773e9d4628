"""Which stretches of play are worth keeping: in daylight, above water, with something to see."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

# What is wrong -> ticks in a row after which the clip is cut where it began.
PATIENCE = {"dark": 3, "wall": 70, "cave": 30, "head": 24, "wet": 110}
STILL_TICKS = 360  # within 1.5 m for 18 s: stuck, nothing new to see
STILL_CUT = 200
LONGEST_CUT = max(STILL_CUT, *PATIENCE.values()) + 1  # frames that may still be taken back


class Judge:
    """Watches one clip; `verdict` names what went wrong and how many of the last frames to cut."""

    def __init__(self) -> None:
        self._spell = dict.fromkeys(PATIENCE, 0)
        self._path: deque[tuple[float, float]] = deque(maxlen=STILL_TICKS)
        self._ticks = 0

    def verdict(
        self, frame: npt.NDArray[np.uint8], info: Mapping[str, Any]
    ) -> tuple[str, int] | None:
        wrong = {
            "dark": frame.mean() < 20,
            "wall": frame[4:].std() < 15,
            "cave": info["light"] < 6,
            "head": info["head_in_liquid"],
            "wet": info["in_liquid"],
        }
        for name, bad in wrong.items():
            self._spell[name] = self._spell[name] + 1 if bad else 0
            if self._spell[name] >= PATIENCE[name]:
                return name, self._spell[name] + 1
        x, _, z = info["position"]
        self._path.append((x, z))
        self._ticks += 1
        if len(self._path) == STILL_TICKS and self._ticks % 20 == 0:
            if float(np.ptp(np.array(self._path), axis=0).max()) < 1.5:
                return "still", STILL_CUT
        return None
