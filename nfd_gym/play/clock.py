"""The metronome: fixed ticks, and honest figures when they are missed."""

import threading
import time
from collections import deque

import numpy as np

SPAN_S = 2.0  # the figures on the screen speak of this long


class Metronome:
    """Ticks on a fixed grid. A late tick is never made up for: the world just runs slower."""

    def __init__(self, rate: float) -> None:
        self.period = 1.0 / rate
        self.rate = rate
        self.due = time.perf_counter()
        self.starts: deque[float] = deque()  # of the last two seconds, at least the last two
        self.ticks = self.late = 0
        self.awake_s = 0.0  # time spent ticking, rests left out

    def wait(self, stop: threading.Event) -> None:
        """Sleep until the next tick is due, or until `stop`. Side effect: counts the tick."""
        now = time.perf_counter()
        if now < self.due:
            stop.wait(self.due - now)
            now = time.perf_counter()
        if self.starts:
            self.awake_s += now - self.starts[-1]
        self.starts.append(now)
        while len(self.starts) > 2 and now - self.starts[0] > SPAN_S:
            self.starts.popleft()
        self.ticks += 1
        # Lateness below one period is jitter and stays on the grid; beyond it the grid moves, for
        # catching up would play the hands' old inputs in fast motion.
        self.late += now > self.due + self.period
        self.due = self.due + self.period if now < self.due + self.period else now + self.period

    def restart(self) -> None:
        """Begin the grid anew after a rest, so that the rest counts neither as late nor as slow."""
        self.due = time.perf_counter()
        self.starts.clear()

    def fps(self) -> float:
        """Ticks per second over the last two seconds, 0 before the second tick."""
        if len(self.starts) < 2:
            return 0.0
        return (len(self.starts) - 1) / max(self.starts[-1] - self.starts[0], 1e-9)


class Spread:
    """Percentiles of a figure over the last `size` values and over the whole run."""

    def __init__(self, size: int = 200) -> None:
        self.recent: deque[float] = deque(maxlen=size)
        self.all: deque[float] = deque(maxlen=100_000)  # 80 minutes at 20 Hz; bounded on purpose

    def add(self, value: float) -> None:
        self.recent.append(value)
        self.all.append(value)

    def recent_at(self, *percents: float) -> list[float] | None:
        return np.percentile(self.recent, percents).tolist() if self.recent else None

    def at(self, *percents: float) -> list[float] | None:
        return np.percentile(self.all, percents).tolist() if self.all else None
