"""Guessing the next action, and how many frames are worth drawing before it is known."""

from collections import Counter, deque

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
MEMORY = 1000  # actions that the table remembers
LONGEST_RUN = 32  # runs longer than this are one case
PRIOR = 2.0  # weight of "the key stays down" in actions: no table is believed on one example


class Predictor:
    """What the player does next: repeat, corrected by how long each action was held before."""

    def __init__(self) -> None:
        self._held: tuple[bytes, int] | None = None  # the action and for how many frames
        self._past: deque[tuple[tuple[bytes, int], bytes]] = deque()
        self._table: dict[tuple[bytes, int], Counter[bytes]] = {}

    def observe(self, action: Vector) -> None:
        """Learn from one action taken."""
        word = np.ascontiguousarray(action, dtype=np.float32).tobytes()
        if self._held is None:
            self._held = (word, 1)
            return
        self._past.append((self._held, word))
        self._table.setdefault(self._held, Counter())[word] += 1
        if len(self._past) > MEMORY:
            context, old = self._past.popleft()
            counts = self._table[context]
            counts[old] -= 1
            if not counts[old]:
                del counts[old]
            if not counts:
                del self._table[context]
        before, run = self._held
        self._held = (word, min(run + 1, LONGEST_RUN) if word == before else 1)

    def ranked(self, count: int) -> list[tuple[Vector, float]]:
        """The `count` likeliest next actions with their probabilities; empty before any action."""
        if self._held is None:
            return []
        word = self._held[0]
        counts = self._table.get(self._held, Counter())
        total = sum(counts.values()) + PRIOR
        weights = {word: PRIOR} | {
            other: n + (PRIOR if other == word else 0.0) for other, n in counts.items()
        }
        best = sorted(weights.items(), key=lambda item: (-item[1], item[0] != word, item[0]))
        return [(np.frombuffer(w, dtype=np.float32), n / total) for w, n in best[:count]]

    def stay(self) -> float:
        """Estimated probability that the next action repeats the last, over all remembered."""
        repeats = sum(context[0] == word for context, word in self._past)
        return (repeats + PRIOR * 0.5) / (len(self._past) + PRIOR)


def frames_worth_drawing(stay: float, cost: dict[int, float], most: int) -> int:
    """The K that maximises kept frames per second: (1 - p^K) / (1 - p) over the cost of K frames.

    `cost` maps K to measured seconds; sizes not measured yet are interpolated from a line through
    the smallest and largest that were, so a new size is tried once it looks worthwhile.
    """
    if not cost:
        return 1
    low, high = min(cost), max(cost)
    if low == high:
        slope = 0.6 * cost[low] / low  # what a CPU shows between 1 and 4 frames, until measured
    else:
        slope = (cost[high] - cost[low]) / (high - low)
    best, best_rate = 1, 0.0
    for size in range(1, most + 1):
        seconds = cost.get(size, cost[low] + slope * (size - low))
        kept = size if stay >= 1.0 else (1 - stay**size) / (1 - stay)
        rate = kept / max(seconds, 1e-9)
        if rate > best_rate:
            best, best_rate = size, rate
    return best
