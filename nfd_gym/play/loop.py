"""The loop: one thread that ticks the game at its rate and publishes the newest picture."""

import threading
from dataclasses import replace

from nfd_gym.errors import NfdError
from nfd_gym.play.clock import Metronome, Spread
from nfd_gym.play.game import Game, Shown
from nfd_gym.play.inputs import Inputs


class Loop(threading.Thread):
    """Ticks `game` until `finish`. The game belongs to this thread; it is closed here, whatever
    happens, so a recording survives a crash; the crash is kept in `error` for the main thread.
    """

    def __init__(self, game: Game, inputs: Inputs, rate: float | None = None) -> None:
        super().__init__(name="play loop", daemon=True)
        self.game = game
        self.inputs = inputs
        self.metronome = Metronome(rate or game.stage.rate)
        self.error: BaseException | None = None
        self.latency_ms = Spread()  # first input of a tick -> its picture on the screen
        self.latest: Shown | None = None
        self.asleep = False  # nobody is watching: no ticks until somebody does
        self._news = threading.Condition()
        self._stop_event = threading.Event()

    def run(self) -> None:
        try:
            self.publish(self.game.shown())
            while not self._stop_event.is_set():
                if self.asleep:
                    self._stop_event.wait(self.metronome.period)
                    self.metronome.restart()
                    continue
                self.metronome.wait(self._stop_event)
                if not self._stop_event.is_set():
                    self.publish(self.game.tick(self.inputs.take()))
        except BaseException as error:  # re-raised by `finish` in the main thread
            self.error = error
        finally:
            try:
                self.game.close()
            finally:
                self._stop_event.set()
                with self._news:
                    self._news.notify_all()

    def publish(self, shown: Shown) -> None:
        """Make `shown` the newest picture. Side effect: wakes everyone who waits for one."""
        fps = self.metronome.fps()
        clock = {"fps": fps, "rate": self.metronome.rate, "awake_s": self.metronome.awake_s}
        latency = self.latency_ms.recent_at(50)
        clock["latency_ms"] = latency[0] if latency else None
        with self._news:
            self.latest = replace(shown, facts={**shown.facts, **clock})
            self._news.notify_all()

    def newer(self, number: int, timeout: float) -> Shown | None:
        """The newest picture if it is newer than `number`, waiting for one up to `timeout`."""
        with self._news:
            self._news.wait_for(lambda: self._is_newer(number) or self.stopped, timeout)
            return self.latest if self._is_newer(number) else None

    @property
    def stopped(self) -> bool:
        return self._stop_event.is_set()

    def stop(self) -> None:
        """Ask the loop to end; safe in a signal handler."""
        self._stop_event.set()

    def finish(self) -> None:
        """Stop, wait until the recording is on disk, and report what went wrong in the loop."""
        self.stop()
        if self.is_alive():
            self.join(timeout=60.0)
        if self.error is not None:
            kind = NfdError if isinstance(self.error, NfdError) else RuntimeError
            raise kind(
                f"the game stopped ({self.error}); what was recorded is complete"
            ) from self.error

    def seen(self, shown: Shown, now: float) -> None:
        """A viewer has `shown` on its screen since `now` (time.perf_counter())."""
        if shown.since is not None:
            self.latency_ms.add(1e3 * (now - shown.since))

    def report(self) -> str:
        """One honest paragraph for the end of a session."""
        metronome, lines = self.metronome, []
        tick = self.game.tick_ms.at(50, 95, 99)
        if tick:
            seconds = max(metronome.awake_s, 1e-9)
            lines.append(
                f"{metronome.ticks} ticks in {seconds:.1f} s: "
                f"{(metronome.ticks - 1) / seconds:.2f} of {metronome.rate:g} a second, "
                f"{metronome.late} of them more than one tick late; "
                f"a step took {tick[0]:.1f} ms (median), {tick[1]:.1f} (p95), {tick[2]:.1f} (p99)"
            )
        latency = self.latency_ms.at(50, 95)
        if latency:
            period = 1e3 * metronome.period
            lines.append(
                f"input to picture: {latency[0]:.0f} ms = {latency[0] / period:.1f} ticks "
                f"(median), {latency[1]:.0f} ms = {latency[1] / period:.1f} ticks (p95), "
                "drawing included"
            )
        return "\n".join(lines)

    def _is_newer(self, number: int) -> bool:
        return self.latest is not None and self.latest.number > number
