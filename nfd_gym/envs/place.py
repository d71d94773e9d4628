"""Place: where an episode begins on a map, in the same words for the game and the dream."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nfd_gym.errors import UsageError
from nfd_gym.settings import nearest


@dataclass(frozen=True)
class Place:
    """Position of the feet in metres, yaw and pitch of the view in degrees. Without y the feet
    stand on whatever is there."""

    position: tuple[float, float | None, float]
    yaw: float = 0.0
    pitch: float = 5.0

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "Place":
        known = ("position", "yaw", "pitch")
        for key in values:
            if key not in known:
                raise UsageError(f"a place has no {key!r}; did you mean {nearest(key, known)!r}?")
        position = np.asarray(values.get("position", ()), dtype=float)
        angles = np.asarray([values.get("yaw", 0.0), values.get("pitch", 5.0)], dtype=float)
        if position.shape not in ((2,), (3,)) or not np.isfinite([*position, *angles]).all():
            raise UsageError(
                "a place needs a position (x, y, z) or, on the island, (x, z), and finite angles, "
                f'such as {{"position": (10, 8, -3), "yaw": 90}}, got {dict(values)!r}.'
            )
        height = float(position[1]) if len(position) == 3 else None
        return cls((float(position[0]), height, float(position[-1])), *angles.tolist())
