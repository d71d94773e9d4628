"""A world that stays where it is scores as if nobody had looked away; one that forgets does not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nfd_gym.actions import KeysAndMouse
from nfd_gym.data import open_source
from nfd_gym.eval.returning import ANGLES, away_and_back, returning
from nfd_gym.eval.rollout import Excerpt, Floats, Frames, cut


class Panorama:
    """A dream of strips: turning rolls them; `slip` columns are lost whenever it turns back."""

    def __init__(self, codec: KeysAndMouse, slip: int) -> None:
        self.codec, self.slip = codec, slip

    def reset(self, frames: Frames, actions: Floats, pitch: Floats | None, seeds: object) -> Frames:
        self.view, self.turned = frames[:, -1], 0.0
        return self.view

    def step(self, actions: Floats) -> Frames:
        self.turned += float(self.codec.rotation(actions)[1][0])
        lost = self.slip if self.codec.rotation(actions)[1][0] < 0 else 0
        return np.roll(self.view, -round(self.turned) - lost, axis=2)


@pytest.fixture
def excerpt(texture_recordings: Path) -> Excerpt:
    return cut(open_source(texture_recordings), 3, 4, 6)


def test_a_turn_away_ends_where_it_began(excerpt: Excerpt) -> None:
    codec = KeysAndMouse()
    there = away_and_back(excerpt, codec, 90)
    yaw = codec.rotation(there.actions[:, there.context :])[1]
    np.testing.assert_allclose(np.cumsum(yaw, axis=1).max(axis=1), 90, atol=0.01)
    np.testing.assert_allclose(yaw.sum(axis=1), 0, atol=0.01)
    assert np.array_equal(there.actions[:, : there.context], excerpt.actions[:, : there.context])
    assert there.horizon == 20 and np.array_equal(there.last, excerpt.last)


def test_only_a_world_that_stays_scores_well(excerpt: Excerpt) -> None:
    codec = KeysAndMouse()
    stays = returning(Panorama(codec, 0), excerpt, codec, 3)
    slips = returning(Panorama(codec, 5), excerpt, codec, 3)
    for angle in map(str, ANGLES):
        assert stays[angle]["back"] > 59 > slips[angle]["back"] + 20
    assert stays["45"]["away"] < 40  # the far end is another picture
    again = returning(Panorama(codec, 0), replace(excerpt, pitch=None), codec, 3)
    assert again == stays
