"""Laws of the body's figures: a recording of the body's own walk is matched; walls are seen."""

from pathlib import Path

import numpy as np
import pytest

from nfd_gym.eval.report import filled
from nfd_gym.eval.walking import SPAN, Walker, walking, walls
from nfd_gym.world import World, load_world
from tests.points import CODEC, room_walk


@pytest.fixture
def points_world(points_world_path: Path) -> World:
    return load_world(points_world_path)


@pytest.fixture
def clip(points_world: World):
    """The room's walk as its own body makes it."""
    told = room_walk(0, frames=30)
    walker = Walker.at(points_world, told, 3)
    poses = [*told.pose[:4], *(walker.step(told.actions[t]) for t in range(4, 30))]
    told.pose[:] = np.stack(poses)
    return told


def test_a_body_agrees_with_its_own_walk(points_world: World, clip) -> None:
    figures = walking(points_world, [clip], every=SPAN)
    assert figures["pieces"] >= 1 and figures["tick_error"] < 1e-4
    assert figures["span_error"] < 0.05


def test_walks_end_at_walls_and_not_in_them(points_world: World, clip) -> None:
    figures = walls(points_world, [clip], CODEC.vector(["forward"]), tries=4)
    assert figures["tries"] == 4 and figures["fell_out"] == 0
    assert figures["entered_by_half"] == 0 and 0 <= figures["deepest"] < 0.2


def test_what_was_not_measured_is_an_empty_cell() -> None:
    assert filled([["walks", float("nan")], ["tries", 3.0]]) == [["walks", ""], ["tries", 3.0]]


def test_clips_too_short_to_tell_give_empty_figures(points_world: World) -> None:
    figures = walking(points_world, [room_walk(0, frames=8)])
    assert figures["pieces"] == 0 and np.isnan(figures["speed_ratio"])
