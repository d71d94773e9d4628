"""How a person moves the mouse: rests, pans, flicks, wanders, glances. Pure generators of pixels.

Every generator yields (dx, dy) mouse pixels per tick, 0.15 degrees each, + to the right and down.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

PIXEL_DEGREES = 0.15
PAN_SPEEDS = (2, 3, 5, 7, 10, 15, 20, 27, 33, 40)  # pixels per tick; 27 is 4 degrees

Pixels = tuple[int, int]


class Looker(Protocol):
    """What the gaze needs to know of its owner at the present tick."""

    @property
    def pitch(self) -> float: ...
    @property
    def standing(self) -> bool: ...


class Gaze:
    """One player's habits, drawn once: how high the eyes rest and how restless they are."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.home = float(rng.normal(-3, 4))  # pitch to which the eyes return, degrees
        self._restless = float(rng.uniform(0.75, 1.25))
        self._rng = rng

    def wandering(self, looker: Looker) -> Iterator[Pixels]:
        """Without end. A standing player looks about more and turns faster than a walking one."""
        rng = self._rng
        while True:
            off = looker.pitch - self.home
            if abs(off) > 8 and rng.random() < 0.8:
                yield from self._home(off)
            yield from self._something(looker)
            if rng.random() < (0.45 if looker.standing else 0.75):
                yield from self._rest(3, 24)

    def _something(self, looker: Looker) -> Iterator[Pixels]:
        rng, standing = self._rng, looker.standing
        draw = rng.random()
        if draw < (0.05 if standing else 0.50):
            yield from self._rest(5, 36)
        elif draw < 0.52:
            spread = rng.uniform(4, 14) * (1.3 if standing else 1)
            yield from self._drift(int(rng.integers(12, 50)), spread)
        elif draw < 0.80:
            speed = int(rng.choice(PAN_SPEEDS[2:] if standing else PAN_SPEEDS[:8]))
            most = int(rng.uniform(20, 200) / (speed * PIXEL_DEGREES))
            ticks = min(int(rng.integers(5, 34)), most)
            rise = int(rng.choice((0, 0, 0, 0, 2, -2, 3, -3)))
            yield from self._pan(speed * int(rng.choice((-1, 1))), rise, max(3, ticks))
        elif draw < 0.88:
            yield from self._flick(rng.uniform(15, 75) * rng.choice((-1, 1)), rng.normal(0, 5))
        else:
            yield from self._glance(looker.pitch)

    def _home(self, off: float) -> Iterator[Pixels]:
        speed = int(self._rng.choice((5, 7, 10, 15, 20)))
        side = int(self._rng.choice((0, 0, 0, 3, -3, 7, -7)))
        ticks = max(2, int(abs(off) / (speed * PIXEL_DEGREES)))
        yield from self._pan(side, -speed if off > 0 else speed, ticks)

    def _rest(self, low: int, high: int) -> Iterator[Pixels]:
        for _ in range(int(self._rng.integers(low, high) / self._restless)):
            yield 0, 0

    def _pan(self, dx: int, dy: int, ticks: int) -> Iterator[Pixels]:
        """A steady turn that eases in and out."""
        if ticks > 6:
            yield dx // 2, dy // 2
        for _ in range(ticks):
            shaky = abs(dx) > 4 and self._rng.random() < 0.2
            yield dx + (int(self._rng.integers(-1, 2)) if shaky else 0), dy
        if ticks > 6:
            yield dx // 2, dy // 2

    def _flick(self, right: float, down: float) -> Iterator[Pixels]:
        """A quick turn by an angle: speed rises and falls like a sine."""
        ticks = int(self._rng.integers(3, 8))
        bell = np.sin(np.pi * (np.arange(ticks) + 0.7) / (ticks + 0.4)) ** 1.5
        for part in bell / bell.sum():
            dx = int(np.clip(right * part / PIXEL_DEGREES, -85, 85))
            yield dx, int(np.clip(down * part / PIXEL_DEGREES, -60, 60))

    def _drift(self, ticks: int, spread: float) -> Iterator[Pixels]:
        """Speeds that follow an Ornstein-Uhlenbeck walk: smooth, aimless."""
        rng = self._rng
        x, y = rng.normal(0, spread), rng.normal(0, spread * 0.25)
        for _ in range(ticks):
            x += -0.08 * x + 0.4 * spread * rng.normal()
            y += -0.15 * y + 0.12 * spread * rng.normal()
            yield int(np.clip(x, -80, 80)), int(np.clip(y, -40, 40))

    def _glance(self, pitch: float) -> Iterator[Pixels]:
        """Up or down, and hold it."""
        rng = self._rng
        way = float(np.clip(rng.normal(1, 25), -48, 55)) - pitch
        speed = int(rng.choice((5, 7, 10, 15, 20, 27)))
        ticks = max(2, int(abs(way) / (speed * PIXEL_DEGREES)))
        side = int(rng.choice((0, 0, 2, -2, 5, -5)))
        yield from self._pan(side, speed if way > 0 else -speed, ticks)
        yield from self._rest(4, 20)
