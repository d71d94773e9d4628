"""Samplers, as functions over a callable. Randomness comes in as the noise argument."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

Predict = Callable[[Tensor, float], Tensor]  # (noisy, sigma) -> clean prediction


def refine(
    predict: Predict, noise: Tensor, sigmas: Sequence[float], fresh: Sequence[Tensor] = ()
) -> Tensor:
    """Few-step sampling: predict clean, put noise back down to the next level, predict again.

    The same noise returns at every step (still things do not flicker) unless `fresh` holds one draw
    per further step.
    """
    clean = predict(noise, sigmas[0])
    for i, sigma in enumerate(sigmas[1:]):
        again = fresh[i] if fresh else noise
        clean = predict((1 - sigma) * clean + sigma * again, sigma)
    return clean


def integrate(
    predict: Predict, noise: Tensor, steps: int, method: str = "euler", floor: float = 0.02
) -> Tensor:
    """Solve the flow from pure noise to a clean frame in `steps` intervals.

    "euler", "heun" (two evaluations an interval) or "dpm2m" (DPM-Solver++(2M): remembers the last
    clean prediction). The last interval ends in the clean prediction itself, for all three.
    """
    grid = torch.linspace(1.0, 0.0, steps + 1).tolist()
    x, before, last_h = noise, None, 0.0
    for now, after in pairwise(grid):
        clean = predict(x, now)
        if after == 0.0:
            return clean
        slope = (x - clean) / max(now, floor)
        if method == "euler":
            x = x + (after - now) * slope
        elif method == "heun":
            guess = x + (after - now) * slope
            other = (guess - predict(guess, after)) / max(after, floor)
            x = x + (after - now) * (slope + other) / 2
        elif method == "dpm2m":
            # in half-log-SNR lambda = log((1-s)/s) the exact solution for a constant clean
            # prediction is x' = s'/s x + ((1-s') - s'/s (1-s)) clean; 2M extrapolates the
            # prediction to mid-interval
            h = _log_snr(after) - _log_snr(now)
            mixed = clean if before is None else clean + (clean - before) * (h / (2 * last_h))
            ratio = after / now
            x = ratio * x + ((1 - after) - ratio * (1 - now)) * mixed
            before, last_h = clean, h
        else:
            raise ValueError(f"unknown method {method!r}; use 'euler', 'heun' or 'dpm2m'")
    return x


def _log_snr(sigma: float) -> float:
    """Half the log signal-to-noise ratio: -inf at pure noise, so that the second step, which has
    only that prediction to remember, extrapolates nothing."""
    return math.log((1 - sigma) / sigma) if sigma < 1 else -math.inf


class Cache(Protocol):
    def truncate(self, frames: int) -> None: ...


class Network(Protocol):
    def __call__(
        self,
        noisy: Tensor,
        sigma: Tensor,
        actions: Tensor,
        recycled: Tensor | None = None,
        cache: Cache | None = None,
        commit: int = 0,
    ) -> Tensor: ...


def sample_frame(
    network: Network,
    cache: Cache,
    action: Tensor,
    recycled: Tensor | None,
    noise: Tensor,
    sigmas: Sequence[float] = (1.0,),
    commit: str = "noisy",
    clean_sigma: float = 0.0,
) -> Tensor:
    """One next frame (B,N,C) from `noise` (B,N,C), `action` (B,A) and recycled last frame (B,N,C).

    Side effect: the frame is committed to the cache. commit="noisy" keeps the keys and values of
    the last evaluation (as many evaluations as `sigmas`); "exact" evaluates the finished frame once
    more at `clean_sigma`; "none" commits nothing (the caller will, fused with the next frame).
    """
    predict = bind(network, cache, action, recycled, last=sigmas[-1] if commit == "noisy" else None)
    clean = refine(predict, noise, sigmas)
    if commit == "exact":
        bind(network, cache, action, recycled, last=clean_sigma)(clean, clean_sigma)
    return clean


def sample_ode(
    network: Network,
    cache: Cache,
    action: Tensor,
    recycled: Tensor | None,
    noise: Tensor,
    steps: int = 18,
    method: str = "euler",
    clean_sigma: float = 0.0,
) -> Tensor:
    """The teacher's sampler: the flow solved in `steps` intervals, then committed by a pass."""
    clean = integrate(bind(network, cache, action, recycled), noise, steps, method)
    bind(network, cache, action, recycled, last=clean_sigma)(clean, clean_sigma)
    return clean


def bind(
    network: Network,
    cache: Cache | None,
    action: Tensor,
    recycled: Tensor | None,
    last: float | None = None,
) -> Predict:
    """A one-frame `Predict`; the evaluation at level `last` commits its keys and values."""

    def predict(noisy: Tensor, sigma: float) -> Tensor:
        level = torch.full((len(noisy), 1), sigma, device=noisy.device, dtype=noisy.dtype)
        frame = None if recycled is None else recycled[:, None]
        commit = int(last is not None and sigma == last)
        return network(noisy[:, None], level, action[:, None], frame, cache, commit)[:, 0]

    return predict
