"""A progress bar: shown on a terminal for work longer than two seconds, silent everywhere else."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

QUIET_S = 2.0
REDRAW_S = 0.1
WIDTH = 30


class Progress:
    """`with Progress(total, "frames") as bar: bar.add(1)`; writes only to a terminal."""

    def __init__(
        self,
        total: int,
        what: str,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.what, self.clock = max(1, total), what, clock
        self.stream = sys.stderr if stream is None else stream
        self.done = 0
        self.started = clock()
        self._drawn = self.started + QUIET_S - REDRAW_S
        self._shown = False

    def add(self, count: int = 1) -> None:
        """Count work done; redraws at most ten times a second."""
        self.done += count
        now = self.clock()
        if now - self._drawn < REDRAW_S or not self.stream.isatty():
            return
        self._drawn, self._shown = now, True
        part = min(1.0, self.done / self.total)
        rate = self.done / (now - self.started)
        left = (self.total - self.done) / rate if rate else 0.0
        bar = "#" * round(part * WIDTH)
        self.stream.write(
            f"\r{bar:<{WIDTH}} {part:4.0%}  {self.done:,}/{self.total:,} {self.what}  "
            f"{rate:,.0f}/s  {max(0.0, left):,.0f} s left "
        )
        self.stream.flush()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            self.stream.write("\n")
            self.stream.flush()
