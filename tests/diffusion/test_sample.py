"""Samplers against Gaussian data, whose clean prediction and flow's end are known formulas."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from nfd_gym.diffusion.sample import evaluations, integrate, refine, sample_frame, sample_frames

MEAN, STD = 0.7, 0.4


def predict(noisy: Tensor, sigma: float) -> Tensor:
    """E[clean | noisy] for clean ~ N(MEAN, STD^2)."""
    a = 1 - sigma
    gain = STD**2 * a / (a**2 * STD**2 + sigma**2)
    return MEAN + gain * (noisy - a * MEAN)


def draw(count: int = 64) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def levels(steps: int) -> list[float]:
    return [1.0 - i / steps for i in range(steps)]


def error(method: str, steps: int) -> float:
    """Distance from the flow's end, which for Gaussian data is MEAN + STD * noise."""
    out = integrate(predict, draw(), levels(steps), method, floor=1e-6)
    return float((out - (MEAN + STD * draw())).abs().max())


@pytest.mark.parametrize(
    ("method", "low", "high"), [("euler", 0.95, 1.05), ("heun", 1.95, 2.05), ("dpm", 1.7, 2.05)]
)
def test_order_of_convergence(method: str, low: float, high: float) -> None:
    """Half the step, 2^order less error; and a thousand steps must not divide by a difference of
    clamped values."""
    errors = [error(method, steps) for steps in (256, 512, 1024)]
    for coarse, fine in pairwise(errors):
        assert low < math.log2(coarse / fine) < high, errors


def test_higher_orders_pay_at_the_papers_18_steps() -> None:
    assert error("heun", 18) < 0.3 * error("euler", 18)
    assert error("dpm", 18) < 0.5 * error("euler", 18)


@pytest.mark.parametrize("method", ["euler", "heun", "dpm"])
def test_one_step_is_the_clean_prediction(method: str) -> None:
    assert torch.equal(integrate(predict, draw(), (1.0,), method), predict(draw(), 1.0))


@pytest.mark.parametrize("method", ["euler", "heun", "dpm"])
@pytest.mark.parametrize("steps", [2, 5, 18])
def test_a_constant_clean_prediction_is_reached_exactly(method: str, steps: int) -> None:
    """Straight paths: every solver is exact, and on every level of the way."""
    target, noise = torch.linspace(-1, 1, 64, dtype=torch.float64), draw()
    asked = []

    def constant(noisy: Tensor, sigma: float) -> Tensor:
        torch.testing.assert_close(noisy, (1 - sigma) * target + sigma * noise)
        asked.append(sigma)
        return target

    assert torch.equal(integrate(constant, noise, levels(steps), method), target)
    assert len(asked) == evaluations(method, steps) and asked[0] == 1.0
    assert asked[-1] == levels(steps)[-1], "the last evaluation is at the last level: it commits"


def test_refine_puts_the_same_noise_back() -> None:
    noise, asked = draw(), []

    def watched(noisy: Tensor, sigma: float) -> Tensor:
        asked.append((noisy, sigma))
        return predict(noisy, sigma)

    out = refine(watched, noise, (1.0, 0.6, 0.3))
    assert [sigma for _, sigma in asked] == [1.0, 0.6, 0.3]
    first = predict(noise, 1.0)
    second = predict(0.4 * first + 0.6 * noise, 0.6)
    torch.testing.assert_close(asked[1][0], 0.4 * first + 0.6 * noise)
    torch.testing.assert_close(out, predict(0.7 * second + 0.3 * noise, 0.3))
    assert torch.equal(out, refine(predict, noise, (1.0, 0.6, 0.3)))


class Watched:
    """A network that halves what it is given and writes down how it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[float], int]] = []

    def __call__(
        self, noisy: Tensor, sigma: Tensor, control: Tensor, condition: Tensor | None,
        cache: object, commit: int,
    ) -> Tensor:  # fmt: skip
        self.calls.append((sigma[0].tolist(), commit))
        self.shapes = noisy.shape, control.shape, None if condition is None else condition.shape
        return noisy / 2


@pytest.mark.parametrize("method", ["refine", "euler", "heun", "dpm"])
def test_only_the_last_evaluation_commits(method: str) -> None:
    noise, control = torch.zeros(2, 3, 6, 8), torch.zeros(2, 3, 5)
    network = Watched()
    sample_frames(network, None, control, None, noise, (1.0, 0.5), "noisy", method)
    *earlier, last = network.calls
    assert all(commit == 0 for _, commit in earlier) and last == ([0.5] * 3, 3)


def test_an_exact_context_commits_the_finished_frame_and_disturbs_nothing() -> None:
    noise = torch.randn((2, 6, 8), generator=torch.Generator().manual_seed(0))
    control, condition = torch.zeros(2, 5), torch.zeros(2, 6, 9)
    noisy, exact = Watched(), Watched()
    one = sample_frame(noisy, None, control, condition, noise, (1.0, 0.5), "noisy")
    two = sample_frame(exact, None, control, condition, noise, (1.0, 0.5), "exact")
    assert torch.equal(one, two)
    assert noisy.calls == [([1.0], 0), ([0.5], 1)]
    assert exact.calls == [([1.0], 0), ([0.5], 0), ([0.0], 1)]
    assert exact.shapes == ((2, 1, 6, 8), (2, 1, 5), (2, 1, 6, 9))
