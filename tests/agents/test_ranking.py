"""Policies of PushT in dream and game: equal starts, equal draws, and what a return is."""

import numpy as np
import pytest

pytest.importorskip("gym_pusht")

from agents.ranking import POLICIES, Dream, Still, Twin, film, play, returns, start_of


@pytest.mark.slow
def test_returns_depend_on_the_episodes_number_alone_and_dream_and_game_agree_at_rest() -> None:
    """Nobody moves: both worlds pay the same coverage at every step."""
    dream, twin = Dream("pusht"), Twin()
    both = [returns(world, POLICIES["still"], 2, 5) for world in (dream, twin)]
    assert np.allclose(*both, atol=0.15)
    assert returns(twin, POLICIES["jerky"], 2, 5) == returns(twin, POLICIES["jerky"], 2, 5)


def test_a_reached_goal_pays_to_the_horizon() -> None:
    start = np.array([60.0, 60, 256, 256, np.pi / 4, 0, 0])  # the block lies on the goal
    assert play(Twin(), Still(), start, 30) == pytest.approx(30.0)


def test_a_film_shows_the_dream_beside_the_game_under_the_same_actions() -> None:
    dream, twin = Dream("pusht"), Twin()
    shown = film(dream, twin, POLICIES["smooth"](np.random.default_rng(0)), start_of(0), 6)
    assert shown.shape == (7, 96, 196, 3)
    made, real = shown[:, :, :96].astype(int), shown[:, :, 100:].astype(int)
    assert np.array_equal(made[0], real[0]) and np.array_equal(shown[-1, :, :96], dream.frame)
    assert (real[-1] != real[0]).any() and np.abs(made[-1] - real[-1]).mean() < 2
