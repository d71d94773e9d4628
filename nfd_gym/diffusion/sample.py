"""Samplers, as functions over a callable. Randomness comes in as the noise argument."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

Predict = Callable[[Tensor, float], Tensor]  # (noisy, sigma) -> clean prediction


def refine(predict: Predict, noise: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Few-step sampling of a distilled model: predict clean, put the same noise back at the next
    level, predict again. Equal noise at every step keeps still things from flickering.
    """
    clean = predict(noise, sigmas[0])
    for sigma in sigmas[1:]:
        clean = predict((1 - sigma) * clean + sigma * noise, sigma)
    return clean


def integrate(
    predict: Predict, noise: Tensor, sigmas: Sequence[float], method: str = "euler",
    floor: float = 0.02,
) -> Tensor:  # fmt: skip
    """Solve the flow from pure noise over falling levels `sigmas` (the first is 1) down to 0.

    "euler"; "heun" with two evaluations an interval; or "dpm", DPM-Solver++(2M) (arXiv 2211.01095),
    which carries the clean prediction on along the line through the last two, in the logarithm of
    signal over noise. The last interval ends in the clean prediction itself, so the last evaluation
    is always at the last level.
    """
    x, last, before = noise, noise, 1.0
    for now, after in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
        clean = predict(x, now)
        if after == 0.0:
            return clean
        ahead = clean
        if method == "dpm" and before < 1.0:  # pure noise has no signal to take a logarithm of
            ratio = _log_snr(now, after) / _log_snr(before, now)
            ahead = clean + ratio / 2 * (clean - last)
        last, before = clean, now
        slope = (x - ahead) / max(now, floor)
        if method == "heun":
            guess = x + (after - now) * slope
            slope = (slope + (guess - predict(guess, after)) / max(after, floor)) / 2
        x = x + (after - now) * slope
    return x


def _log_snr(now: float, after: float) -> float:
    """How far the logarithm of signal over noise grows from one level to the next."""
    return math.log((1 - after) / after) - math.log((1 - now) / now)


METHODS = ("refine", "euler", "heun", "dpm")


Cache = Any  # keys and values of past frames; samplers hand it on and never look inside


class Network(Protocol):
    """(noisy, sigma, control, condition, cache, commit) -> clean prediction; see `Denoiser`."""

    def __call__(
        self, noisy: Tensor, sigma: Tensor, control: Tensor, condition: Tensor | None,
        cache: Cache, commit: int, /,
    ) -> Tensor: ...  # fmt: skip


def sample_frames(
    network: Network, cache: Cache, control: Tensor, condition: Tensor | None,
    noise: Tensor, sigmas: Sequence[float] = (1.0,), context: str = "noisy",
    method: str = "refine",
) -> Tensor:  # fmt: skip
    """The next T frames at once (B,T,N,C), from `noise` of that shape, control (B,T,A+K) and
    condition (B,T,N,G).

    Side effect: the frames are committed to the cache. context="noisy" keeps the keys and values
    of the last evaluation; "exact" evaluates the finished frames once more at level 0 and returns
    what was sampled before that pass.
    """
    frames, left = noise.shape[1], evaluations(method, len(sigmas))

    def predict(noisy: Tensor, sigma: float) -> Tensor:
        nonlocal left
        left -= 1
        commit = frames if left == 0 and context == "noisy" else 0
        level = torch.full(noisy.shape[:2], sigma, device=noisy.device, dtype=noisy.dtype)
        return network(noisy, level, control, condition, cache, commit)

    if method == "refine":
        clean = refine(predict, noise, sigmas)
    else:
        clean = integrate(predict, noise, sigmas, method)
    if context == "exact":
        level = torch.zeros(noise.shape[:2], device=noise.device, dtype=noise.dtype)
        network(clean, level, control, condition, cache, frames)
    return clean


def evaluations(method: str, levels: int) -> int:
    """How often a sampler asks its network."""
    return 2 * levels - 1 if method == "heun" else levels


def sample_frame(
    network: Network, cache: Cache, control: Tensor, condition: Tensor | None,
    noise: Tensor, sigmas: Sequence[float] = (1.0,), context: str = "noisy",
    method: str = "refine",
) -> Tensor:  # fmt: skip
    """One next frame (B,N,C), from `noise` (B,N,C), control (B,A+K) and condition (B,N,G)."""
    given = None if condition is None else condition[:, None]
    return sample_frames(
        network, cache, control[:, None], given, noise[:, None], sigmas, context, method
    )[:, 0]
