"""From hands to action vectors: one small class per kind of codec.

Every player (human, scripted, agent) hands over the codec's float32 vector, so a recording and the
world see the same numbers whoever plays.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from nfd_gym.errors import UsageError
from nfd_gym.keyboard import DEGREES_PER_PIXEL
from nfd_gym.play.bindings import LOOKS, MOVES, Bindings
from nfd_gym.play.inputs import Sample

ARROW_DEGREES = 4.0  # per tick: 80 degrees a second
MAX_DEGREES = 180.0  # the camera range of MineRL


class Controls(Protocol):
    def vector(self, sample: Sample) -> np.ndarray:
        """The action vector (A,) that these hands ask for."""
        ...


def make_controls(
    codec, bindings: Bindings, sensitivity: float = 1.0, invert_y: bool = False,
    keys: Mapping[str, int] | None = None,
):  # fmt: skip
    """The controls that suit a codec: keys and mouse, a pointer, or numbered actions, which a game
    may put on `keys` of its own."""
    if not 0 < sensitivity <= 20:
        raise UsageError(
            f"--sensitivity must lie in (0, 20], not {sensitivity}; 1.0 is Minecraft's"
        )
    if codec.kind == "keys_and_mouse":
        return MinecraftControls(codec, bindings, sensitivity, invert_y)
    if codec.kind == "continuous":
        return PointerControls(codec, bindings, sensitivity, invert_y)
    if codec.kind == "discrete":
        return NumberControls(codec, bindings, keys)
    raise UsageError(f"no controls for actions of kind {codec.kind!r}; play with --policy random")


class MinecraftControls:
    """Minecraft's keys; mouse and arrow keys turn the camera; the wheel walks along the hotbar."""

    def __init__(self, codec, bindings: Bindings, sensitivity: float, invert_y: bool) -> None:
        self.codec = codec
        self.bindings = bindings
        self.scale = DEGREES_PER_PIXEL * sensitivity
        self.vertical = -1.0 if invert_y else 1.0
        self.slot = 1

    def vector(self, sample: Sample) -> np.ndarray:
        wanted = self.bindings.pressed(sample.held)
        keys = wanted & MOVES.keys()
        for key in keys:
            if key.startswith("hotbar."):
                self.slot = int(key.removeprefix("hotbar."))
        if sample.wheel:  # rolling the wheel towards you selects the next slot, as in Minecraft
            self.slot = (self.slot - 1 - sample.wheel) % 9 + 1
            keys = keys | {f"hotbar.{self.slot}"}
        pitch, yaw = _arrows(wanted)
        pitch = ARROW_DEGREES * pitch + self.scale * sample.dy * self.vertical
        yaw = ARROW_DEGREES * yaw + self.scale * sample.dx
        turn = np.clip([pitch, yaw], -MAX_DEGREES, MAX_DEGREES).tolist()
        return self.codec.vector(sorted(keys), *turn)


class PointerControls:
    """A pointer that the mouse pushes through the action box: axes 0 and 1 are right and down.

    Arrow keys and WASD move it too; it begins at rest, and further axes stay there.
    """

    def __init__(self, codec, bindings: Bindings, sensitivity: float, invert_y: bool) -> None:
        self.codec = codec
        self.bindings = bindings
        self.low = np.asarray(codec.low, np.float32)
        self.high = np.asarray(codec.high, np.float32)
        self.value = np.asarray(codec.noop(), np.float32)
        # The whole range is 400 mouse pixels, or 40 ticks of an arrow key.
        self.scale = (self.high - self.low) * sensitivity / 400.0
        self.vertical = -1.0 if invert_y else 1.0

    def vector(self, sample: Sample) -> np.ndarray:
        wanted = self.bindings.pressed(sample.held)
        pitch, yaw = _arrows(wanted)
        right = yaw + ("right" in wanted) - ("left" in wanted)
        down = pitch + ("back" in wanted) - ("forward" in wanted)
        motion = np.zeros_like(self.value)
        motion[:2] = [10 * right + sample.dx, 10 * down + sample.dy * self.vertical][: motion.size]
        self.value = np.clip(self.value + motion * self.scale, self.low, self.high)
        return self.codec.encode(self.value)


class NumberControls:
    """One action a tick: the game's own keys; without them keys 1 to 9 are actions 0 to 8. No key
    is the no-op."""

    def __init__(self, codec, bindings: Bindings, keys: Mapping[str, int] | None = None) -> None:
        self.codec = codec
        self.bindings = bindings
        self.keys = keys or {f"hotbar.{number + 1}": number for number in range(9)}

    def vector(self, sample: Sample) -> np.ndarray:
        wanted = self.bindings.pressed(sample.held)
        numbers = sorted(self.keys[name] for name in wanted if name in self.keys)
        chosen = next((number for number in numbers if number < self.codec.width), None)
        return self.codec.encode(self.codec.noop() if chosen is None else chosen)


def _arrows(wanted: set[str]) -> tuple[int, int]:
    """(down, right) of the look keys, each -1, 0 or 1."""
    on = {name: int(name in wanted) for name in LOOKS}
    return on["look down"] - on["look up"], on["look right"] - on["look left"]
