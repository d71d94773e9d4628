"""Samplers against Gaussian data, whose clean prediction and flow's end are known formulas."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from nfd_gym.diffusion.sample import bind, integrate, refine

MEAN, STD = 0.7, 0.4


def predict(noisy: Tensor, sigma: float) -> Tensor:
    """E[clean | noisy] for clean ~ N(MEAN, STD^2)."""
    a = 1 - sigma
    gain = STD**2 * a / (a**2 * STD**2 + sigma**2)
    return MEAN + gain * (noisy - a * MEAN)


def draw(count: int = 64) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def error(method: str, steps: int) -> float:
    """Distance from the flow's end, which for Gaussian data is MEAN + STD * noise."""
    out = integrate(predict, draw(), steps, method, floor=1e-6)
    return float((out - (MEAN + STD * draw())).abs().max())


@pytest.mark.parametrize(("method", "low", "high"), [
    ("euler", 0.95, 1.05), ("heun", 1.95, 2.05), ("dpm2m", 1.7, 2.05),
])  # fmt: skip
def test_order_of_convergence(method: str, low: float, high: float) -> None:
    """Half the step, 2^order less error. At the ends of the path log-SNR is infinite, which costs
    dpm2m a logarithm; and a thousand steps must not divide by a difference of clamped values."""
    errors = [error(method, steps) for steps in (256, 512, 1024)]
    for coarse, fine in pairwise(errors):
        assert low < math.log2(coarse / fine) < high, errors


def test_higher_orders_pay_at_the_papers_18_steps() -> None:
    assert error("heun", 18) < 0.3 * error("euler", 18)
    assert error("dpm2m", 18) < 0.3 * error("euler", 18)


@pytest.mark.parametrize("method", ["euler", "heun", "dpm2m"])
def test_one_step_is_the_clean_prediction(method: str) -> None:
    assert torch.equal(integrate(predict, draw(), 1, method), predict(draw(), 1.0))


@pytest.mark.parametrize("method", ["euler", "heun", "dpm2m"])
@pytest.mark.parametrize("steps", [2, 5, 18])
def test_a_constant_clean_prediction_is_reached_exactly(method: str, steps: int) -> None:
    """Straight paths: every solver is exact, and on every level of the way."""
    target, noise = torch.linspace(-1, 1, 64, dtype=torch.float64), draw()
    levels = []

    def constant(noisy: Tensor, sigma: float) -> Tensor:
        torch.testing.assert_close(noisy, (1 - sigma) * target + sigma * noise)
        levels.append(sigma)
        return target

    assert torch.equal(integrate(constant, noise, steps, method), target)
    evaluations = 2 * steps - 1 if method == "heun" else steps
    assert len(levels) == evaluations and levels[0] == 1.0 and min(levels) > 0


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="'euler', 'heun' or 'dpm2m'"):
        integrate(predict, draw(), 4, "rk4")


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


def test_fresh_noise_gives_the_right_spread() -> None:
    """Independent noise per step samples the data when the prediction is the flow's exact end."""
    random = torch.Generator().manual_seed(1)
    noise, again = torch.randn((2, 100_000), generator=random, dtype=torch.float64)

    def end(noisy: Tensor, sigma: float) -> Tensor:
        a = 1 - sigma
        return MEAN + STD * (noisy - a * MEAN) / math.sqrt(a**2 * STD**2 + sigma**2)

    out = refine(end, noise, (1.0, 0.5), [again])
    assert float(out.mean()) == pytest.approx(MEAN, abs=0.01)
    assert float(out.std()) == pytest.approx(STD, abs=0.01)
    assert not torch.equal(out, refine(end, noise, (1.0, 0.5)))


def test_only_the_evaluation_at_the_last_level_commits() -> None:
    calls = []

    def network(
        noisy: Tensor, sigma: Tensor, actions: Tensor, recycled: Tensor | None,
        cache: object, commit: int,
    ) -> Tensor:  # fmt: skip
        calls.append((noisy.shape, sigma.flatten().tolist(), actions.shape, recycled, commit))
        return noisy

    step = bind(network, None, torch.zeros(2, 5), None, last=0.5)  # type: ignore[arg-type]
    out = refine(step, torch.zeros(2, 6, 8), (1.0, 0.5))
    assert out.shape == (2, 6, 8)
    assert [(level, commit) for _, level, _, _, commit in calls] == [
        ([1.0, 1.0], 0),
        ([0.5, 0.5], 1),
    ]
    assert calls[0][0] == (2, 1, 6, 8) and calls[0][2] == (2, 1, 5)
