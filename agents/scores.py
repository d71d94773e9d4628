"""What a handful of episodes can tell: intervals, ranks, rises that are no luck. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nfd_gym.errors import UsageError

RESAMPLES = 10_000
SURE = 0.975  # of all resamples: one side of a 95 % interval


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


def interval(values: ArrayLike, seed: int = 0) -> Interval:
    """Percentile bootstrap of the mean over episodes."""
    means = resampled(values, seed)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(np.mean(np.asarray(values, np.float64))), float(low), float(high))


def crafter_score(success: ArrayLike, seed: int = 0) -> Interval:
    """Crafter's score in percent of episodes' successes (E,22) of 0 and 1: the geometric mean of
    1 + the success rate in percent, less 1. Rare achievements weigh as much as common ones."""
    array = np.asarray(success, np.float64)
    picks = np.random.default_rng(seed).integers(len(array), size=(RESAMPLES // 10, len(array)))
    rates = np.concatenate([array.mean(0)[None], array[picks].mean(1)])
    scores = np.expm1(np.log1p(100 * rates).mean(1))
    low, high = np.quantile(scores[1:], (0.025, 0.975))
    return Interval(float(scores[0]), float(low), float(high))


def resampled(values: ArrayLike, seed: int) -> NDArray[np.float64]:
    """RESAMPLES means of as many episodes, drawn with replacement."""
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not len(array) or not np.isfinite(array).all():
        raise UsageError(f"an interval needs a list of finite returns, got {values!r}.")
    picks = np.random.default_rng(seed).integers(len(array), size=(RESAMPLES, len(array)))
    return np.asarray(array[picks].mean(axis=1))


def apart(better: Interval, worse: Interval) -> bool:
    """Whether the whole interval of one lies above that of the other."""
    return better.low > worse.high


def ranks(values: ArrayLike) -> NDArray[np.float64]:
    """Ranks from 0; equal values share the mean of their places."""
    array = np.asarray(values, np.float64)
    below = (array[None] < array[:, None]).sum(axis=1)
    equal = (array[None] == array[:, None]).sum(axis=1)
    return np.asarray(below + (equal - 1) / 2)


def rank_correlation(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's rho; not a number if one side is all equal."""
    a, b = ranks(one), ranks(other)
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / scale) if scale > 0 else float("nan")


def rank_interval(
    dream: Sequence[ArrayLike], real: Sequence[ArrayLike], seed: int = 0, times: int = 1000
) -> Interval:
    """Rho of the policies' mean returns, with the interval that their episodes leave."""
    rho = rank_correlation([np.mean(x) for x in dream], [np.mean(x) for x in real])
    draws = [
        np.stack([resampled(x, seed + 7 * i + side)[:times] for i, x in enumerate(policies)])
        for side, policies in enumerate((dream, real))
    ]
    rhos = [rank_correlation(draws[0][:, k], draws[1][:, k]) for k in range(times)]
    known = [value for value in rhos if np.isfinite(value)]
    if not known:
        return Interval(rho, float("nan"), float("nan"))
    low, high = np.quantile(known, (0.025, 0.975))
    return Interval(rho, float(low), float(high))


def rises(early: ArrayLike, late: ArrayLike, seed: int = 0) -> bool:
    """Whether the mean of `late` is higher than that of `early`, luck excluded."""
    return bool((resampled(late, seed) > resampled(early, seed + 1)).mean() >= SURE)


def hacking(dream: Sequence[ArrayLike], real: Sequence[ArrayLike]) -> tuple[int, int] | None:
    """Two checkpoints (earlier, later) of one training between which the dream's return rises and
    the real one falls: the agent has learned what is wrong with the dream. Else None."""
    for later in range(1, len(dream)):
        for early in range(later):
            if rises(dream[early], dream[later]) and rises(real[later], real[early]):
                return early, later
    return None
