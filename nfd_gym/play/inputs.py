"""What the player's hands do between two ticks, gathered from any thread.

The state of the keys is sampled, never queued: a machine that falls behind sees the latest hands,
not a backlog of old ones. Motion is summed, so no mouse movement of a tick is lost, and a key that
went down and up inside one tick still counts for that tick.
"""

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """The hands during one tick: held keys, mouse motion in pixels, wheel clicks (up is +)."""

    held: frozenset[str] = frozenset()
    dx: float = 0.0
    dy: float = 0.0
    wheel: int = 0
    since: float | None = None  # time.perf_counter() of the first event that this tick answers
    stamp: float | None = None  # the browser's clock at its newest message, echoed back to it


class Inputs:
    """The hands, written by a window or a socket and taken once per tick by the loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[str] = set()
        self._taps: set[str] = set()
        self._dx = self._dy = 0.0
        self._wheel = 0
        self._since: float | None = None
        self._stamp: float | None = None

    def press(self, key: str) -> None:
        with self._lock:
            if key not in self._held:
                self._touch()
            self._held.add(key)
            self._taps.add(key)

    def release(self, key: str) -> None:
        with self._lock:
            if key in self._held:
                self._touch()
            self._held.discard(key)

    def hold(self, keys: set[str]) -> None:
        """Make exactly these keys the held ones; a browser or gamepad sends its whole state."""
        with self._lock:
            if keys != self._held:
                self._touch()
            self._taps |= keys - self._held
            self._held = set(keys)

    def move(self, dx: float, dy: float) -> None:
        with self._lock:
            if dx or dy:
                self._touch()
            self._dx += dx
            self._dy += dy

    def scroll(self, clicks: int) -> None:
        with self._lock:
            self._touch()
            self._wheel += clicks

    def mark(self, stamp: float) -> None:
        with self._lock:
            self._stamp = stamp

    def release_all(self) -> None:
        """Let go of everything: the focus is lost, the browser is gone, the mouse came free."""
        with self._lock:
            self._held.clear()
            self._taps.clear()
            self._dx = self._dy = 0.0
            self._wheel = 0

    def take(self) -> Sample:
        """The hands since the last call. Side effect: motion, wheel and taps start at zero."""
        with self._lock:
            held = frozenset(self._held | self._taps)
            sample = Sample(held, self._dx, self._dy, self._wheel, self._since, self._stamp)
            self._taps.clear()
            self._dx = self._dy = 0.0
            self._wheel = 0
            self._since = None
            return sample

    def _touch(self) -> None:
        if self._since is None:
            self._since = time.perf_counter()
