"""Action codecs: a Gymnasium action <-> the float32 (A,) vector that the model sees.

The vector never depends on the action space: `with_preset` changes what people and agents send, not
what the model was trained on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from nfd_gym.errors import NfdError
from nfd_gym.keyboard import (
    BOX_AXES,
    COMBINATIONS,
    GROUPS,
    KEY_INDEX,
    KEYS,
    LARGEST_TURN,
    PITCH,
    VPT_CAMERA,
    camera_to_scalar,
    scalar_to_camera,
)
from nfd_gym.settings import nearest

Vector = NDArray[np.float32]


class ActionError(NfdError, ValueError):
    """An action that does not fit its space; the message names what was expected."""


@dataclass(frozen=True)
class Camera:
    """How the action turns the view: needed by models that warp the last frame."""

    fov_y: float  # vertical field of view, degrees
    crosshair: int = 0  # pixels from the middle to the end of the cross drawn there; 0: none


class ActionCodec(Protocol):
    """What every world knows about its actions; saved as JSON inside the world."""

    kind: str
    width: int  # A
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
    """Keyboard and mouse of a Minecraft-class game: 23 keys, then pitch and yaw on the log scale.

    Presets: "multidiscrete" (VPT's groups and camera bins), "discrete" (24 named combinations),
    "minerl" (the MineRL 1.0 Dict, lossless) and "box" (8 axes in -1..1 for SAC and friends).
    """

    kind = "keys_and_mouse"
    width = len(KEYS) + 2
    presets: tuple[str, ...] = ("multidiscrete", "discrete", "minerl", "box")

    def __init__(self, preset: str = "multidiscrete", camera: Camera | None = Camera(72.0)) -> None:
        self.preset = _known_preset(preset, self.presets)
        self.camera = camera
        rest = VPT_CAMERA.bins // 2
        self._combinations: Vector = np.stack(
            [
                self.vector(keys, *VPT_CAMERA.to_degrees(np.array(turn) + rest))
                for keys, turn in COMBINATIONS.values()
            ]
        )

    def vector(self, keys: Sequence[str] = (), pitch: float = 0.0, yaw: float = 0.0) -> Vector:
        """The vector of held keys and a turn in degrees."""
        vector = np.zeros(self.width, np.float32)
        for key in keys:
            if key not in KEY_INDEX:
                raise ActionError(f"no key {key!r}; did you mean {nearest(key, KEYS)!r}?")
            vector[KEY_INDEX[key]] = 1
        if not (abs(pitch) <= LARGEST_TURN and abs(yaw) <= LARGEST_TURN):  # also catches NaN
            raise ActionError(f"camera must be within +-180 degrees per step, got {[pitch, yaw]}.")
        vector[PITCH:] = camera_to_scalar((pitch, yaw))
        return vector

    def keys(self, vector: ArrayLike) -> tuple[str, ...]:
        """Names of the keys that are down in one vector (A,)."""
        return tuple(KEYS[index] for index in np.flatnonzero(np.asarray(vector)[: len(KEYS)] > 0.5))

    def rotation(self, vector: ArrayLike) -> tuple[Vector, Vector]:
        """(delta pitch, delta yaw) in degrees of vectors (..., A); + looks down, + turns right."""
        degrees = scalar_to_camera(np.asarray(vector)[..., PITCH:]).astype(np.float32)
        return degrees[..., 0], degrees[..., 1]

    def encode(self, action: Any) -> Vector:
        if self.preset == "minerl":
            return self._encode_minerl(action)
        if self.preset == "discrete":
            return np.array(self._combinations[_whole(action, len(COMBINATIONS), "action")])
        if self.preset == "box":
            axes = _finite(action, 8)
            pairs = zip(BOX_AXES, axes[:6], strict=True)
            held = [keys[0] if axis > 0 else keys[1] for keys, axis in pairs if abs(axis) > 0.5]
            vector = self.vector([key for key in held if key is not None])
            vector[PITCH:] = np.clip(axes[6:], -1, 1)
            return vector
        choices = np.asarray(action)
        sizes = self.space("multidiscrete").nvec  # type: ignore[attr-defined]
        if choices.shape != sizes.shape or choices.dtype.kind not in "iu":
            raise ActionError(f"the action must be {len(sizes)} whole numbers, got {action!r}.")
        if ((choices < 0) | (choices >= sizes)).any():
            raise ActionError(f"action {choices.tolist()} is outside the space {sizes.tolist()}.")
        keys = [
            group[choice - 1]
            for group, choice in zip(GROUPS.values(), choices, strict=False)
            if choice
        ]
        return self.vector(keys, *VPT_CAMERA.to_degrees(choices[-2:]))

    def decode(self, vector: ArrayLike) -> Any:
        """The action of the preset nearest to a vector; "minerl" loses nothing."""
        vector = _finite(vector, self.width)
        # The largest turn must not leave the space by a rounding error of the log scale.
        held = set(self.keys(vector))
        turn = np.clip(scalar_to_camera(vector[PITCH:]), -LARGEST_TURN, LARGEST_TURN)
        if self.preset == "minerl":
            action: dict[str, Any] = {key: np.int64(key in held) for key in KEYS}
            action["camera"] = turn.astype(np.float32)
            return {name: action[name] for name in _minerl_names()}
        if self.preset == "discrete":
            return np.int64(((self._combinations - vector) ** 2).sum(axis=1).argmin())
        if self.preset == "box":
            axes = [float(plus in held) - float(minus in held) for plus, minus in BOX_AXES]
            return np.array([*axes, *np.clip(vector[PITCH:], -1, 1)], np.float32)
        choices = [_choice(group, held) for group in GROUPS.values()]
        return np.array([*choices, *VPT_CAMERA.to_bin(turn)], np.int64)

    def noop(self) -> Any:
        return self.decode(np.zeros(self.width, np.float32))

    def space(self, preset: str | None = None) -> gymnasium.Space[Any]:
        preset = self.preset if preset is None else _known_preset(preset, self.presets)
        if preset == "minerl":
            camera = spaces.Box(-LARGEST_TURN, LARGEST_TURN, (2,), np.float32)
            return spaces.Dict(
                [
                    (name, camera if name == "camera" else spaces.Discrete(2))
                    for name in _minerl_names()
                ]
            )
        if preset == "discrete":
            return spaces.Discrete(len(COMBINATIONS))
        if preset == "box":
            return spaces.Box(-1.0, 1.0, (len(BOX_AXES) + 2,), np.float32)
        groups = [len(group) + 1 for group in GROUPS.values()]
        return spaces.MultiDiscrete([*groups, VPT_CAMERA.bins, VPT_CAMERA.bins])

    def with_preset(self, preset: str) -> "KeysAndMouse":
        return KeysAndMouse(preset, self.camera)

    def to_json(self) -> dict[str, Any]:
        seen = {"fov_y": None} if self.camera is None else asdict(self.camera)
        return {"kind": self.kind, "preset": self.preset, **seen}

    def _encode_minerl(self, action: Any) -> Vector:
        if not isinstance(action, Mapping):
            raise ActionError(f"a MineRL action is a dict of keys and camera, got {action!r}.")
        for name in action:
            if name not in KEY_INDEX and name != "camera":
                raise ActionError(
                    f"no key {name!r}; did you mean {nearest(name, _minerl_names())!r}?"
                )
        held = [name for name in KEYS if _whole(action.get(name, 0), 2, f"key {name}")]
        return self.vector(held, *_finite(action.get("camera", (0.0, 0.0)), 2).tolist())


class Continuous:
    """n real numbers within [low, high]; the vector is the same scaled to -1..1."""

    kind = "continuous"
    camera: Camera | None = None
    presets: tuple[str, ...] = ("box",)
    preset = "box"

    def __init__(
        self,
        n: int,
        low: float | Sequence[float] = -1.0,
        high: float | Sequence[float] = 1.0,
        rest: Sequence[float] | None = None,
    ) -> None:
        self.width = n
        self.low = np.broadcast_to(np.asarray(low, np.float32), (n,)).copy()
        self.high = np.broadcast_to(np.asarray(high, np.float32), (n,)).copy()
        if n < 1 or not (np.isfinite(self.low) & np.isfinite(self.high)).all():
            raise ActionError(f"Continuous needs n >= 1 and finite bounds, got {n}, {low}, {high}.")
        if not (self.low < self.high).all():
            raise ActionError(f"Continuous needs low < high, got {low} and {high}.")
        # At rest: zero where the range holds it, else its nearest end (a car's pedals).
        still = np.zeros(n) if rest is None else _finite(rest, n)
        self.rest = np.clip(still, self.low, self.high).astype(np.float32)

    def encode(self, action: Any) -> Vector:
        values = _finite(action, self.width).astype(np.float64)
        return (2 * (values - self.low) / (self.high.astype(np.float64) - self.low) - 1).astype(
            np.float32
        )

    def decode(self, vector: ArrayLike) -> Vector:
        part = (_finite(vector, self.width).astype(np.float64) + 1) / 2
        return np.asarray(self.low + part * (self.high.astype(np.float64) - self.low), np.float32)

    def noop(self) -> Vector:
        return self.rest.copy()

    def space(self, preset: str | None = None) -> gymnasium.Space[Any]:
        _known_preset(preset or "box", self.presets)
        return spaces.Box(self.low, self.high, dtype=np.float32)

    def with_preset(self, preset: str) -> "Continuous":
        _known_preset(preset, self.presets)
        return self

    def to_json(self) -> dict[str, Any]:
        ends = {"low": self.low.tolist(), "high": self.high.tolist(), "rest": self.rest.tolist()}
        return {"kind": self.kind, "n": self.width, **ends}


class Discrete:
    """One of n actions; the vector is one-hot. Action `rest` is the one that does nothing."""

    kind = "discrete"
    camera: Camera | None = None
    presets: tuple[str, ...] = ("discrete",)
    preset = "discrete"

    def __init__(self, n: int, rest: int = 0) -> None:
        if n < 1 or not 0 <= rest < n:
            raise ActionError(f"Discrete needs n >= 1 and 0 <= rest < n, got {n} and {rest}.")
        self.width, self.rest = n, rest

    def encode(self, action: Any) -> Vector:
        vector = np.zeros(self.width, np.float32)
        vector[_whole(action, self.width, "discrete action")] = 1
        return vector

    def decode(self, vector: ArrayLike) -> np.int64:
        return np.int64(_finite(vector, self.width).argmax())

    def noop(self) -> np.int64:
        return np.int64(self.rest)

    def space(self, preset: str | None = None) -> gymnasium.Space[Any]:
        _known_preset(preset or "discrete", self.presets)
        return spaces.Discrete(self.width)

    def with_preset(self, preset: str) -> "Discrete":
        _known_preset(preset, self.presets)
        return self

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "n": self.width, "rest": self.rest}


def codec_from_json(data: Mapping[str, Any]) -> ActionCodec:
    """The codec that wrote `data` with `to_json`."""
    values = dict(data)
    kind = values.pop("kind", None)
    try:
        if kind == KeysAndMouse.kind:
            fov_y, crosshair = values.pop("fov_y"), int(values.pop("crosshair", 0))
            camera = None if fov_y is None else Camera(float(fov_y), crosshair)
            return KeysAndMouse(camera=camera, **values)
        if kind == Continuous.kind:
            return Continuous(**values)
        if kind == Discrete.kind:
            return Discrete(**values)
    except (TypeError, KeyError) as error:
        raise ActionError(f"no {kind} codec can be read from {dict(data)} ({error}).") from error
    known = (KeysAndMouse.kind, Continuous.kind, Discrete.kind)
    raise ActionError(f"no action codec {kind!r}; did you mean {nearest(str(kind), known)!r}?")


def codec_for_space(space: gymnasium.Space[Any]) -> ActionCodec:
    """The codec of an environment that has none of its own."""
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return Discrete(int(space.n))
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return Continuous(space.shape[0], space.low.tolist(), space.high.tolist())
    if space == KeysAndMouse().space("minerl"):
        return KeysAndMouse("minerl", camera=None)
    raise ActionError(
        f"no codec for the action space {space}; wrap the environment to take Discrete(n), a "
        "one-dimensional Box or the MineRL dict."
    )


def _minerl_names() -> tuple[str, ...]:
    return tuple(sorted((*KEYS, "camera")))  # ASCII order, as MineRL has it: ESC first


def _choice(group: Sequence[str], held: set[str]) -> int:
    """Which key of a group of exclusive keys is down; opposites cancel, else the last wins."""
    down = [index + 1 for index, key in enumerate(group) if key in held]
    if len(group) == 2 and len(down) == 2 and group[0] != "sprint":
        return 0
    return down[-1] if down else 0


def _known_preset(preset: str, presets: Sequence[str]) -> str:
    if preset not in presets:
        raise ActionError(f"no action space {preset!r}; did you mean {nearest(preset, presets)!r}?")
    return preset


def _whole(value: Any, stop: int, what: str) -> int:
    number = np.asarray(value)
    if number.size != 1 or number.dtype.kind not in "iub" or not 0 <= int(number.item()) < stop:
        raise ActionError(f"{what} must be a whole number from 0 to {stop - 1}, got {value!r}.")
    return int(number.item())


def _finite(values: Any, width: int) -> NDArray[Any]:
    array = np.asarray(values)
    if array.shape != (width,) or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ActionError(f"{width} finite numbers are needed, got {values!r}.")
    return array
