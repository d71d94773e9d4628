"""Keys and camera of a Minecraft-class game: names, groups, bins and the camera's log scale."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

KEYS = (
    "ESC", "attack", "back", "drop", "forward", "hotbar.1", "hotbar.2", "hotbar.3", "hotbar.4",
    "hotbar.5", "hotbar.6", "hotbar.7", "hotbar.8", "hotbar.9", "inventory", "jump", "left",
    "pickItem", "right", "sneak", "sprint", "swapHands", "use",
)  # fmt: skip
KEY_INDEX = {name: index for index, name in enumerate(KEYS)}
PITCH, YAW = len(KEYS), len(KEYS) + 1
LOG_SCALE = math.log(11.0)  # 10 degrees per tick -> 1.0, the largest turn of VPT's policy
DEGREES_PER_PIXEL = 360 / 2400  # MineRL and VPT: one mouse pixel
LARGEST_TURN = 180.0  # degrees per tick, MineRL's camera bounds

# Mutually exclusive keys, one MultiDiscrete entry each; choice 0 is "none of them" (VPT's groups).
GROUPS: dict[str, tuple[str, ...]] = {
    "hotbar": tuple(f"hotbar.{number}" for number in range(1, 10)),
    "fore_back": ("forward", "back"),
    "left_right": ("left", "right"),
    "sprint_sneak": ("sprint", "sneak"),
    "use": ("use",),
    "drop": ("drop",),
    "attack": ("attack",),
    "jump": ("jump",),
    "inventory": ("inventory",),
}

# name -> keys held, (pitch, yaw) in VPT's camera bins from rest: 1 is 0.6 degrees, 4 is 5.8.
COMBINATIONS: dict[str, tuple[tuple[str, ...], tuple[int, int]]] = {
    "noop": ((), (0, 0)),
    "forward": (("forward",), (0, 0)),
    "forward+jump": (("forward", "jump"), (0, 0)),
    "forward+sprint": (("forward", "sprint"), (0, 0)),
    "forward+attack": (("forward", "attack"), (0, 0)),
    "back": (("back",), (0, 0)),
    "left": (("left",), (0, 0)),
    "right": (("right",), (0, 0)),
    "jump": (("jump",), (0, 0)),
    "sneak": (("sneak",), (0, 0)),
    "attack": (("attack",), (0, 0)),
    "use": (("use",), (0, 0)),
    "turn_left": ((), (0, -4)),
    "turn_right": ((), (0, 4)),
    "turn_left_slowly": ((), (0, -2)),
    "turn_right_slowly": ((), (0, 2)),
    "look_up": ((), (-3, 0)),
    "look_down": ((), (3, 0)),
    "forward+turn_left": (("forward",), (0, -3)),
    "forward+turn_right": (("forward",), (0, 3)),
    "attack+look_up": (("attack",), (-2, 0)),
    "attack+look_down": (("attack",), (2, 0)),
    "hotbar.1": (("hotbar.1",), (0, 0)),
    "hotbar.2": (("hotbar.2",), (0, 0)),
}

# Entries of the "box" space: pressed beyond +-0.5: a policy that starts near 0 rests.
BOX_AXES = (
    ("forward", "back"),
    ("right", "left"),
    ("jump", "sneak"),
    ("sprint", None),
    ("attack", None),
    ("use", None),
)


@dataclass(frozen=True)
class MuLaw:
    """Camera bins that are fine near zero (mu-law), as in VPT and MineWorld."""

    limit: float  # degrees
    bins: int
    mu: float

    def to_bin(self, degrees: ArrayLike) -> NDArray[np.int64]:
        part = np.clip(np.asarray(degrees, np.float64) / self.limit, -1, 1)
        law = np.sign(part) * np.log1p(self.mu * np.abs(part)) / math.log1p(self.mu)
        return np.round((law + 1) * (self.bins - 1) / 2).astype(np.int64)

    def to_degrees(self, bins: ArrayLike) -> NDArray[np.float64]:
        law = np.asarray(bins, np.float64) * 2 / (self.bins - 1) - 1
        part = np.sign(law) * np.expm1(np.abs(law) * math.log1p(self.mu)) / self.mu
        return np.asarray(part * self.limit, np.float64)


VPT_CAMERA = MuLaw(limit=10.0, bins=11, mu=10.0)


def camera_to_scalar(degrees: ArrayLike) -> NDArray[np.float64]:
    """Degrees per tick on a symmetric log scale: fine near zero, 10 degrees -> 1."""
    degrees = np.asarray(degrees, np.float64)
    return np.asarray(np.sign(degrees) * np.log1p(np.abs(degrees)) / LOG_SCALE)


def scalar_to_camera(scalar: ArrayLike) -> NDArray[np.float64]:
    """The inverse of `camera_to_scalar`."""
    scalar = np.asarray(scalar, np.float64)
    return np.asarray(np.sign(scalar) * np.expm1(np.abs(scalar) * LOG_SCALE))
