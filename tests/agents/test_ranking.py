"""Policies of PushT in dream and game: equal starts, equal draws, and what a return is."""

import numpy as np
import pytest

pytest.importorskip("gym_pusht")

from agents.ranking import POLICIES, Dream, Still, Twin, play, returns


def test_returns_depend_on_the_episodes_number_alone_and_dream_and_game_agree_at_rest() -> None:
    """Nobody moves: both worlds pay the same coverage at every step."""
    dream, twin = Dream("pusht"), Twin()
    both = [returns(world, POLICIES["still"], 2, 5) for world in (dream, twin)]
    assert np.allclose(*both, atol=0.15)
    assert returns(twin, POLICIES["jerky"], 2, 5) == returns(twin, POLICIES["jerky"], 2, 5)


def test_a_reached_goal_pays_to_the_horizon() -> None:
    start = np.array([60.0, 60, 256, 256, np.pi / 4, 0, 0])  # the block lies on the goal
    assert play(Twin(), Still(), start, 30) == pytest.approx(30.0)
