"""An actor on the island: a script of keys beside a gaze, drawn from a seed."""

from collections.abc import Generator, Mapping
from typing import Any

import numpy as np

from nfd_gym.games.luanti.gaze import PIXEL_DEGREES, Gaze, Pixels
from nfd_gym.games.luanti.senses import Senses, wrap
from nfd_gym.games.luanti.spec import LANDMARKS
from nfd_gym.keyboard import KEYS

Keys = frozenset[str]
Script = Generator[Keys, None, None]
NONE: Keys = frozenset()
NOT_ABOVE, NOT_BELOW = -75.0, 80.0  # the pitch is kept within, degrees
SPEEDS = (7, 10, 15, 20, 27, 33, 40)  # mouse pixels per tick
# Keys for a walk in a direction, by eighths of a circle to the right of the view.
EIGHTHS = (
    ("forward",), ("forward", "right"), ("right",), ("back", "right"),
    ("back",), ("back", "left"), ("left",), ("forward", "left"),
)  # fmt: skip
COAST = 43.0  # metres from the middle to where the sea begins, about


class Actor:
    """Base of the players: subclasses write `scene`, a script that is begun again whenever it ends.

    A script yields the keys of one tick; meanwhile the mouse follows an aim, rests or wanders."""

    name = "actor"

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.senses = Senses()
        self._gaze = Gaze(self.rng)
        self._wander = self._gaze.wandering(self)
        self._aim: tuple[float | None, float | None] | None = None
        self._speed, self._still = 20, False
        self._turned = (0.0, 0.0)
        self._script = self._forever()

    def act(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """The next action as a MineRL dict; `info` is that of the last reset or step."""
        self.senses.update(info, self._turned)
        keys = next(self._script)
        dx, dy = self._mouse()
        if not NOT_ABOVE <= self.senses.pitch + dy * PIXEL_DEGREES <= NOT_BELOW:
            dy = 0
        self._turned = (dx * PIXEL_DEGREES, dy * PIXEL_DEGREES)
        turn = np.array([dy, dx], np.float32) * np.float32(PIXEL_DEGREES)
        return {**{key: int(key in keys) for key in KEYS}, "camera": turn}

    def scene(self) -> Script:
        raise NotImplementedError

    def _forever(self) -> Script:
        while True:
            self.free()
            yield from self.scene()

    # ---- what the gaze asks -----------------------------------------------------------------

    @property
    def pitch(self) -> float:
        return self.senses.pitch

    @property
    def standing(self) -> bool:
        return False

    # ---- chance -----------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def ticks(self, low: int, high: int) -> range:
        return range(int(self.rng.integers(low, high + 1)))

    def side(self) -> int:
        return -1 if self.chance(0.5) else 1

    # ---- mouse ------------------------------------------------------------------------------

    def _mouse(self) -> Pixels:
        if self._aim is not None:
            return self._towards()
        return (0, 0) if self._still else next(self._wander)

    def _towards(self) -> Pixels:
        assert self._aim is not None
        yaw, pitch = self._aim
        right = 0.0 if yaw is None else yaw - self.senses.yaw
        down = 0.0 if pitch is None else pitch - self.senses.pitch

        def clip(degrees: float) -> int:
            pixels = round(degrees / PIXEL_DEGREES)
            return 0 if abs(pixels) < 2 else int(np.clip(pixels, -self._speed, self._speed))

        return clip(right), clip(down)

    def free(self) -> None:
        """Gives the mouse to the gaze."""
        self._aim, self._still = None, False

    def hold(self) -> None:
        self._aim, self._still = None, True

    def look(self, turn: float | None, pitch: float | None, speed: int | None = None) -> None:
        """Turns right by `turn` degrees, as far as it is (270 is not -90), and to that pitch."""
        self._aim = (None if turn is None else self.senses.yaw + turn, pitch)
        self._speed = speed or int(self.rng.choice(SPEEDS))

    def aimed(self, most: int = 60, keys: Keys = NONE) -> Script:
        """Until the view has arrived where `look` sent it."""
        for _ in range(most):
            if self._aim is None or self._towards() == (0, 0):
                return
            yield keys

    def survey(self, keys: Keys = NONE) -> Script:
        """Looks about freely: far to the side, up into trees, down to the feet."""
        for _ in self.ticks(1, 4):
            self.look(self.rng.uniform(-180, 180), float(np.clip(self.rng.normal(5, 28), -60, 60)))
            yield from self.aimed(70, keys)
            self.hold()
            for _ in self.ticks(0, 12):
                yield keys
        self.look(None, self.rng.uniform(-8, 14))
        yield from self.aimed(20)
        self.free()

    # ---- feet -------------------------------------------------------------------------------

    @property
    def here(self) -> tuple[float, float]:
        x, _, z = self.senses.trail[-1]
        return x, z

    def anywhere(self) -> tuple[float, float]:
        """A point of the island, sometimes at a landmark or along the beach."""
        rng, draw = self.rng, self.rng.random()
        if draw < 0.25:
            x, z = LANDMARKS[str(rng.choice(list(LANDMARKS)))]
            return x + float(rng.normal(0, 5)), z + float(rng.normal(0, 5))
        far = COAST + float(rng.normal(0, 2)) if draw < 0.4 else 44 * float(np.sqrt(rng.random()))
        angle = float(rng.uniform(0, 2 * np.pi))
        return far * np.cos(angle), far * np.sin(angle)

    def go(
        self, x: float, z: float, most: int = 240, near: float = 1.5, free: bool = False
    ) -> Script:
        """Walks to a point, round what is in the way; gives up after `most` ticks. With `free` the
        gaze wanders and the feet find the way by themselves."""
        senses, left = self.senses, most
        while left > 0 and senses.distance(x, z) > near:
            left -= 1
            bearing = senses.bearing(x, z)
            if free:
                self.free()
                keys = frozenset(EIGHTHS[round(bearing / 45) % 8])
            else:
                self._aim = (senses.yaw + bearing, self._pitch_of_walk(left))
                self._speed = 27
                keys = frozenset({"forward"}) if abs(bearing) < 60 else NONE
            if senses.stuck and keys:
                for _ in self.detour():
                    left -= 1
                    yield _
                continue
            yield keys | {"jump"} if self.chance(0.006) else keys

    def _pitch_of_walk(self, tick: int) -> float | None:
        if tick % 40 == 39:
            self._level = float(np.clip(self.rng.normal(4, 12), -35, 40))
        return getattr(self, "_level", 4.0)

    def detour(self) -> Script:
        """Out of a corner: a jump, or some steps to the side."""
        self.senses.trail.clear()
        self.free()
        self.look(self.side() * self.rng.uniform(40, 120), self.rng.uniform(-5, 15), 33)
        jump: Keys = frozenset({"jump"}) if self.chance(0.5) else NONE
        yield from self.aimed(15, jump)
        for _ in self.ticks(8, 22):
            yield frozenset({"forward"}) | jump

    def face(self, x: float, z: float, pitch: float | None = None) -> Script:
        self.look(self.senses.bearing(x, z), pitch)
        yield from self.aimed()

    def wait(self, low: int, high: int, *keys: str) -> Script:
        for _ in self.ticks(low, high):
            yield frozenset(keys)

    def turn_away(self) -> float:
        """An angle to turn by, right or left, often one of the round ones."""
        rng = self.rng
        angle = rng.choice([45, 90, 180, 360]) if self.chance(0.6) else rng.uniform(30, 360)
        return float(angle) * self.side()

    def home(self) -> float:
        """Degrees to turn right to look to the middle of the island."""
        return wrap(self.senses.bearing(0.0, 0.0))
