"""Speculation: frames drawn before their action is known. A wrong guess costs a pointer move.

off       draw when asked
ahead     while the caller thinks, a background thread draws the next frame with the guessed action;
          the noise has an address, so a right guess gives the very same bits
parallel  NFD's K frames at once for a held action; faster on launch-bound GPUs, not the same frames
auto      off or ahead, whichever the measured times favour; never changes what you see
"""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from nfd_gym.errors import UsageError
from nfd_gym.runtime.action_predictor import Predictor, frames_worth_drawing
from nfd_gym.settings import nearest
from nfd_gym.world.state import WorldState

MODES = ("off", "ahead", "parallel", "auto")
MOST_AHEAD = 8  # frames that may be drawn beyond the present one
FORGET = 0.95  # of running averages, per step

Vectors = NDArray[np.float32]  # (B, A)


class Speculator:
    """Hands out frames for actions, drawing some of them early.

    `draw(actions)` draws the next frame and appends it to the cache;
    `draw_jointly(actions, K)` appends K; `truncate(n)` takes the last n back.
    """

    def __init__(
        self,
        mode: str,
        num_envs: int,
        draw: Callable[[Vectors], WorldState],
        draw_jointly: Callable[[Vectors, int], list[WorldState]],
        truncate: Callable[[int], None],
    ) -> None:
        if mode not in MODES:
            raise UsageError(f"no speculation {mode!r}; did you mean {nearest(mode, MODES)!r}?")
        if mode != "off" and num_envs != 1:
            raise UsageError(
                f"speculate={mode!r} serves one env and {num_envs} were asked for; batches serve "
                "throughput, guessing serves latency: use speculate='off'."
            )
        self.mode = mode
        self._draw, self._draw_jointly, self._truncate = draw, draw_jointly, truncate
        self._worker: ThreadPoolExecutor | None = None
        self._future: tuple[bytes, Future[WorldState]] | None = None
        self._ready: deque[WorldState] = deque()  # the rest of a joint draw
        self._ready_for = b""
        self.fixed: int | None = None  # K of the parallel mode; None adapts it
        self.cost: dict[int, float] = {}  # seconds of drawing K frames at once
        self._idle = self._hit_rate = 0.0
        self._left = time.perf_counter()
        self.restart()

    def restart(self) -> None:
        """A new episode: habits and counts start afresh, so equal episodes give equal counts."""
        self._predictor = Predictor()
        self._guess: bytes | None = None
        self.at_once = 1
        self.steps = self.hits = self.drawn = self.discarded = 0

    def take(self, actions: Vectors) -> WorldState:
        """The frame under `actions`: an early one if the guess was right."""
        self._idle = _blend(self._idle, time.perf_counter() - self._left)
        word = actions.tobytes()
        self.steps += 1
        if self._guess is not None:
            self._hit_rate = _blend(self._hit_rate, float(self._guess == word))
        drawn = self._early(word)
        if drawn is not None:
            self.hits += 1
            return drawn
        self.discard()
        if self.mode == "parallel":
            return self._several(actions)
        started = time.perf_counter()
        drawn = self._draw(actions)
        self._count(1, started)
        return drawn

    def look_ahead(self, actions: Vectors) -> None:
        """Learn from the action just taken, and start on the next frame where that pays."""
        if self.mode == "off":
            return
        self._predictor.observe(actions[0])
        guess, _ = self._predictor.ranked(1)[0]
        self._guess = guess.tobytes()
        if self.mode == "ahead" or (self.mode == "auto" and self._pays()):
            if self._worker is None:
                self._worker = ThreadPoolExecutor(1, thread_name_prefix="nfd-ahead")
            future = self._worker.submit(self._draw_ahead, guess[None].copy())
            self._future = (self._guess, future)
            self.drawn += 1  # here, not by the worker: equal episodes give equal counts
        self._left = time.perf_counter()

    def discard(self) -> None:
        """Take back every frame that was drawn early and not used. Waits for one being drawn."""
        early = len(self._ready)
        self._ready.clear()
        if self._future is not None:
            _, future = self._future
            self._future = None
            future.result()
            early += 1
        if early:
            self._truncate(early)
            self.discarded += early

    def close(self) -> None:
        if self._worker is not None:
            self._worker.shutdown(wait=True)
            self._worker = None

    def counts(self) -> dict[str, int]:
        """Steps since the last reset, how many were hits, frames drawn and thrown away, K."""
        return {
            "steps": self.steps,
            "hits": self.hits,
            "drawn": self.drawn,
            "discarded": self.discarded,
            "at_once": self.at_once,
        }

    def _early(self, word: bytes) -> WorldState | None:
        if self._future is not None and self._future[0] == word:
            _, future = self._future
            self._future = None
            return future.result()
        if self._ready and self._ready_for == word:
            return self._ready.popleft()
        return None

    def _several(self, actions: Vectors) -> WorldState:
        stay = self._predictor.stay()
        self.at_once = self.fixed or frames_worth_drawing(stay, self.cost, MOST_AHEAD)
        started = time.perf_counter()
        if self.at_once == 1:
            rest, first = [], self._draw(actions)
        else:
            first, *rest = self._draw_jointly(actions, self.at_once)
        self._count(self.at_once, started)
        self._ready.extend(rest)
        self._ready_for = actions.tobytes()
        return first

    def _draw_ahead(self, actions: Vectors) -> WorldState:
        started = time.perf_counter()
        drawn = self._draw(actions)
        self._measure(1, started)
        return drawn

    def _count(self, frames: int, started: float) -> None:
        self._measure(frames, started)
        self.drawn += frames

    def _measure(self, frames: int, started: float) -> None:
        self.cost[frames] = _blend(self.cost.get(frames), time.perf_counter() - started)

    def _pays(self) -> bool:
        """Whether hits save more waiting than misses add (a draw cannot be stopped half way)."""
        cost = self.cost.get(1)
        if cost is None:
            return False
        saved = self._hit_rate * min(self._idle, cost)
        return saved > (1 - self._hit_rate) * max(0.0, cost - self._idle)


def _blend(old: float | None, new: float) -> float:
    return new if old is None else FORGET * old + (1 - FORGET) * new
