"""Planning by the cross-entropy method, on a model whose best plan is known and in the game."""

import numpy as np
import pytest

pytest.importorskip("gym_pusht")

from agents.plan import DreamModel, Search, TwinModel, apart, attempt, path, plan, reached
from nfd_gym.games.pusht.env import PushTEnv
from nfd_gym.games.pusht.spec import SPEC
from nfd_gym.runtime.open_world import open_world
from nfd_gym.runtime.session import Session


def test_a_path_goes_through_its_knots_in_time() -> None:
    knots = np.array([[10.0, 0.0], [10.0, 20.0]])
    made = path(np.zeros(2), knots, np.array([2.0, 4.0]), 4)
    assert made.tolist() == [[5.0, 0.0], [10.0, 0.0], [10.0, 10.0], [10.0, 20.0]]


def test_success_is_twenty_pixels_and_twenty_degrees() -> None:
    goal = np.array([100.0, 100, 200, 200, 3.1])
    assert reached(goal + np.array([12, 12, 0, 0, 0.2]), goal)  # over the turn of the circle
    assert not reached(goal + np.array([12, 12, 12, 0, 0]), goal)
    assert not reached(goal + np.array([0, 0, 0, 0, 0.4]), goal)
    pixels, degrees = apart(goal + np.array([3, 4, 0, 0, np.radians(7)]), goal)
    assert pixels == pytest.approx(5) and degrees == pytest.approx(7)


def test_the_search_finds_the_best_of_a_simple_model() -> None:
    """The agent ends where the last action points and the block stays."""
    goal = np.array([300.0, 120, 256, 256, 0])

    def ends(paths):
        still = np.broadcast_to([256.0, 256, 0], (len(paths), 3))
        return np.concatenate([paths[:, -1], still], 1)

    how = Search(samples=64, rounds=6)
    made = plan(ends, np.array([50.0, 400]), goal, 25, how, np.random.default_rng(0))
    assert made.shape == (25, 2) and np.linalg.norm(made[-1] - goal[:2]) < 8


def test_a_plan_in_the_games_physics_brings_the_agent_to_a_free_goal() -> None:
    start = np.array([100.0, 100, 350, 350, 0.5, 0, 0])
    goal = np.array([180.0, 130, 350, 350, 0.5])
    how = Search(samples=12, rounds=2, replan=25)
    assert attempt(TwinModel(), start, goal, how, np.random.default_rng(0), 1)


def test_the_dreams_ends_are_those_of_dreams_that_are_looked_at() -> None:
    """Plans are tried on the poses that the body carries; a session that draws every frame carries
    the same."""
    env = PushTEnv()
    frame, info = env.reset(options={"state": (200.0, 250, 260, 280, 0.4)})
    random = np.random.default_rng(0)
    middle = info["state"][:2] + (info["state"][2:4] - info["state"][:2]) * 0.8
    paths = np.clip(middle + random.normal(0, 60, (3, 8, 2)), 0, 512)  # through the block
    model = DreamModel("pusht")
    model.begin(frame[None], info["state"][None, :2], np.zeros(7))
    session = Session(open_world("pusht"), num_envs=3, engine="eager")
    first = SPEC.codec.encode(info["state"][:2])
    session.reset(np.repeat(frame[None, None], 3, 0), np.repeat(first[None, None], 3, 0))
    for step in range(8):
        session.advance(np.stack([SPEC.codec.encode(path[step]) for path in paths]))
    poses = session.state.pose.numpy()
    ends = model.ends(paths)
    assert np.abs((poses[:, :4] + 1) * 256 - ends[:, :4]).max() < 0.01
    assert np.abs(poses[:, 4] - ends[:, 4]).max() < 1e-3
    assert np.abs(ends[:, 2:4] - info["state"][2:4]).max() > 5  # the block was pushed
    session.close()
