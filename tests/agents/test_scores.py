"""Intervals, ranks and the alarm against reward hacking, on returns whose answer is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from agents.scores import apart, hacking, interval, rank_correlation, rank_interval, ranks, rises

NUMBERS = some.lists(some.floats(-100, 100), min_size=2, max_size=30)


@given(NUMBERS)
def test_the_mean_lies_in_its_interval(values: list[float]) -> None:
    found = interval(values)
    assert found.low - 1e-9 <= found.mean <= found.high + 1e-9
    assert min(values) - 1e-9 <= found.low and found.high <= max(values) + 1e-9


def test_an_interval_holds_the_true_mean_about_19_times_in_20() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(80):
        found = interval(rng.poisson(3, 20), seed=trial)
        hits += found.low <= 3 <= found.high
    assert 0.85 < hits / 80 <= 1


def test_intervals_narrow_with_more_episodes_and_repeat_with_the_seed() -> None:
    rng = np.random.default_rng(1)
    few, many = rng.normal(size=10), rng.normal(size=100)
    assert interval(many).high - interval(many).low < interval(few).high - interval(few).low
    assert interval(few) == interval(few) != interval(few, seed=1)
    assert apart(interval(many + 5), interval(many)) and not apart(interval(many), interval(many))


def test_returns_that_are_no_numbers_are_refused() -> None:
    for values in ([], [1.0, math.nan]):
        with pytest.raises(ValueError, match="finite returns"):
            interval(values)


@given(NUMBERS)
def test_ranks_keep_the_order_and_share_ties(values: list[float]) -> None:
    places = ranks(values)
    assert places.sum() == pytest.approx(len(values) * (len(values) - 1) / 2)
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            assert (a < b) == (places[i] < places[j])


def test_rank_correlation_sees_order_only() -> None:
    values = [0.0, 1.0, 5.0, 7.0]
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1)
    assert rank_correlation(values, [-v for v in values]) == pytest.approx(-1)
    # by hand: d = 0 1 -1 0, rho = 1 - 6 * 2 / (4 * 15)
    assert rank_correlation(values, [0.0, 5.0, 1.0, 7.0]) == pytest.approx(0.8)
    assert math.isnan(rank_correlation(values, [1.0] * 4))


def test_a_ranking_is_certain_only_if_the_episodes_say_so() -> None:
    rng = np.random.default_rng(0)
    real = [rng.normal(i, 0.1, 20) for i in range(12)]
    sharp = [rng.normal(i, 0.1, 20) for i in range(12)]
    blurred = [rng.normal(i, 30, 20) for i in range(12)]
    assert rank_interval(sharp, real).low > 0.95
    wide = rank_interval(blurred, real)
    assert wide.high - wide.low > 0.3


def test_reward_hacking_needs_a_rise_in_the_dream_and_a_fall_in_reality() -> None:
    rng = np.random.default_rng(0)

    def returns(*means: float) -> list[np.ndarray]:
        return [rng.normal(mean, 1, 20) for mean in means]

    up, down, flat = returns(1, 3, 5), returns(5, 3, 1), returns(3, 3, 3)
    assert hacking(up, down) == (0, 1)
    assert hacking(returns(1, 2, 6), returns(2, 5, 1)) in ((0, 2), (1, 2))
    for dream, real in ((up, up), (down, down), (flat, down), (up, flat), (down, up)):
        assert hacking(dream, real) is None
    assert rises([1.0, 1.1], [2.0, 2.1]) and not rises([1.0, 3.0], [2.0, 2.1])
