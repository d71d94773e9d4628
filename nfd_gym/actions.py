"""Action codecs: a Gymnasium action <-> the float32 (A,) vector that the model sees."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float32]

KEYS = (
    "ESC", "attack", "back", "drop", "forward",
    "hotbar.1", "hotbar.2", "hotbar.3", "hotbar.4", "hotbar.5", "hotbar.6", "hotbar.7", "hotbar.8", "hotbar.9",
    "inventory", "jump", "left", "pickItem", "right", "sneak", "sprint", "swapHands", "use",
)  # fmt: skip
KEY_INDEX = {name: index for index, name in enumerate(KEYS)}
PITCH, YAW = len(KEYS), len(KEYS) + 1
LOG_SCALE = math.log(11.0)  # 10 degrees per tick -> 1.0, the largest turn of VPT's policy
DEGREES_PER_PIXEL = 360 / 2400  # MineRL and VPT: one mouse pixel


def camera_to_scalar(degrees: ArrayLike) -> NDArray[Any]:
    """Degrees per tick on a symmetric log scale: fine near zero, 10 degrees -> 1."""
    degrees = np.asarray(degrees, dtype=np.float64)
    return np.asarray(np.sign(degrees) * np.log1p(np.abs(degrees)) / LOG_SCALE)


def scalar_to_camera(scalar: ArrayLike) -> NDArray[Any]:
    """The inverse of `camera_to_scalar`."""
    scalar = np.asarray(scalar, dtype=np.float64)
    return np.asarray(np.sign(scalar) * np.expm1(np.abs(scalar) * LOG_SCALE))


@dataclass(frozen=True)
class Camera:
    """How the action turns the view: needed by models that warp the last frame."""

    fov_y: float  # vertical field of view, degrees


class ActionCodec(Protocol):
    """What every world needs to know about its actions; saved as JSON inside the world."""

    kind: str
    width: int
    camera: Camera | None
    presets: tuple[str, ...]
    preset: str

    def encode(self, action: Any) -> Vector: ...
    def decode(self, vector: ArrayLike) -> Any: ...
    def noop(self) -> Any: ...
    def space(self, preset: str | None = None) -> gymnasium.Space[Any]: ...
    def with_preset(self, preset: str) -> "ActionCodec": ...
    def to_json(self) -> dict[str, Any]: ...


class KeysAndMouse:
    """Keyboard and mouse of a Minecraft-class game: 23 keys, then pitch and yaw on the log scale."""

    kind = "keys_and_mouse"
    width = len(KEYS) + 2

    def __init__(self, camera: Camera | None = Camera(72.0)) -> None:
        self.camera = camera

    def rotation(self, vector: ArrayLike) -> tuple[Vector, Vector]:
        """(delta pitch, delta yaw) in degrees of vectors (..., A); + looks down, + turns right."""
        vector = np.asarray(vector)
        degrees = scalar_to_camera(vector[..., PITCH:]).astype(np.float32)
        return degrees[..., 0], degrees[..., 1]

    def noop(self) -> Any:
        return np.zeros(self.width, np.float32)

    def encode(self, action: Any) -> Vector:
        return np.asarray(action, np.float32)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "fov_y": None if self.camera is None else self.camera.fov_y}


def codec_from_json(data: Mapping[str, Any]) -> Any:
    fov_y = data.get("fov_y")
    return KeysAndMouse(camera=None if fov_y is None else Camera(fov_y))
