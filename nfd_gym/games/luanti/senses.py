"""What a scripted player knows: the env's public `info`, or nothing but its own moves."""

import math
from collections.abc import Mapping
from typing import Any

AHEAD, RIGHT, BACK, LEFT = 0, 2, 4, 6  # of the eight directions, clockwise


def wrap(degrees: float) -> float:
    """Into [-180, 180)."""
    return (degrees + 180.0) % 360.0 - 180.0


class Senses:
    """Updated once a tick. Blind (no `surroundings` in info), the view is reckoned from the own
    mouse and the ground is taken to be open."""

    def __init__(self) -> None:
        self.yaw = self.pitch = 0.0
        self.trail: list[tuple[float, float, float]] = []
        self.dry: list[tuple[float, float]] = []  # where the feet were last on dry ground
        self.on_ground, self.in_liquid = True, False
        self.biome = ""
        self._around: Mapping[str, Any] | None = None

    def update(self, info: Mapping[str, Any] | None, turned: tuple[float, float]) -> None:
        """`turned` is the (right, down) turn in degrees that the last action commanded."""
        if info is None or "surroundings" not in info:
            self._around = None
            self.yaw += turned[0]
            self.pitch = max(-89.5, min(89.5, self.pitch + turned[1]))
            return
        self._around = info["surroundings"]
        self.yaw, self.pitch = float(info["yaw"]), float(info["pitch"])
        self.on_ground, self.in_liquid = bool(info["on_ground"]), bool(info["in_liquid"])
        self.biome = str(info["biome"])
        x, y, z = info["position"]
        self.trail = [*self.trail[-40:], (x, y, z)]
        if self.on_ground and not self.in_liquid:
            self.dry = [*self.dry[-40:], (x, z)]

    @property
    def blind(self) -> bool:
        return self._around is None

    def hazard(self, direction: int = AHEAD, near: int = 2) -> str | None:
        """Wall, liquid or cliff within `near` nodes (liquid is avoided earlier); None when free."""
        if self._around is None:
            return None
        kind = str(self._around["kinds"][direction])
        limit = {"w": near, "l": near + 2, "c": near}.get(kind, 0)
        return kind if self._around["distances"][direction] <= limit else None

    def step_ahead(self, near: int) -> bool:
        """A block that a jump takes."""
        around = self._around
        return around is not None and around["kinds"][0] == "s" and around["distances"][0] <= near

    @property
    def walls(self) -> int:
        """Of the eight directions, how many are walled up within two nodes."""
        if self._around is None:
            return 0
        pairs = zip(self._around["kinds"], self._around["distances"], strict=True)
        return sum(kind == "w" and near <= 2 for kind, near in pairs)

    def freer_side(self, usual: int) -> int:
        """+1 to the right, -1 to the left, `usual` when there is little to choose."""
        if self._around is None:
            return usual
        free = self._around["distances"]
        gain = (free[1] + 0.5 * free[2]) - (free[7] + 0.5 * free[6])
        return usual if abs(gain) < 1 else (1 if gain > 0 else -1)

    @property
    def pointed(self) -> tuple[str, float]:
        """Node under the crosshair and its distance; nothing when out of reach or blind."""
        if self._around is None:
            return "", 9.0
        return self._around["pointed"], self._around["reach"]

    @property
    def trunk(self) -> tuple[float, float] | None:
        """(x, z) of the nearest tree trunk within 6 nodes."""
        trunk = None if self._around is None else self._around["trunk"]
        return None if trunk is None else (trunk[0], trunk[2])

    def bearing(self, x: float, z: float) -> float:
        """Degrees to turn right to face the point."""
        here = self.trail[-1]
        return wrap(math.degrees(math.atan2(here[0] - x, z - here[2])) - self.yaw)

    def distance(self, x: float, z: float) -> float:
        return math.dist((x, z), (self.trail[-1][0], self.trail[-1][2]))

    @property
    def stuck(self) -> bool:
        """Moved less than 0.4 m in 15 ticks."""
        return len(self.trail) > 15 and math.dist(self.trail[-1], self.trail[-15]) < 0.4
