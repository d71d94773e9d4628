"""PushT states are read from pictures as the game has them, and scored as it scores itself."""

import numpy as np
import pytest

from nfd_gym.envs.tasks import Facts, make_task
from nfd_gym.games.pusht.pictures import states
from nfd_gym.games.pusht.readings import angle_between, reward
from nfd_gym.games.pusht.spec import GOAL, SUCCESS

pytest.importorskip("gym_pusht")

from nfd_gym.games.pusht.env import PushTEnv
from nfd_gym.games.pusht.players import random_state

TASK = "nfd_gym.games.pusht.task:PushT"


@pytest.fixture(scope="module")
def drawn():
    """States (60, 5), every third with the agent near or on the block, and their pictures."""
    env, rng = PushTEnv(), np.random.default_rng(0)
    places = np.stack([random_state(rng) for _ in range(60)])
    places[::3, :2] = (places[::3, 2:4] + rng.normal(0, 50, (20, 2))).clip(15, 497)
    return places, np.stack([env.reset(options={"state": place})[0] for place in places])


def test_states_are_read_within_three_pixels_of_512_and_a_degree(drawn):
    """A picture of 96 pixels has 5.3 of the game's pixels in each."""
    places, frames = drawn
    read = states(frames)
    assert np.linalg.norm(read[:, :2] - places[:, :2], axis=1).max() < 1.0
    apart = np.linalg.norm(read[:, 2:4] - places[:, 2:4], axis=1)
    assert apart.max() < 3.0 and np.median(apart) < 0.6
    assert np.degrees(angle_between(read[:, 4], places[:, 4])).max() < 1.0


def test_any_leading_dimensions_and_no_memory(drawn):
    _, frames = drawn
    read = states(frames[:6])
    assert np.array_equal(states(frames[:6].reshape(2, 3, 96, 96, 3)).reshape(6, 5), read)
    assert states(frames[:0]).shape == (0, 5)
    assert np.array_equal(states(frames[4]), read[4])


def test_a_picture_without_agent_or_block_has_a_finite_state():
    for grey in (0, 211, 255):
        assert np.isfinite(states(np.full((96, 96, 3), grey, np.uint8))).all()


def test_the_task_pays_what_the_game_pays():
    """On the same pictures, from the goal outwards: reward within .02 of the twin's, and its end
    wherever the coverage is not within .02 of the threshold."""
    env, task, rng = PushTEnv(), make_task(TASK), np.random.default_rng(1)
    ends = 0
    for spread in np.linspace(0, 60, 24):
        pose = GOAL + rng.uniform(-1, 1, 3) * [spread, spread, spread / 60]
        env.reset(options={"state": (80, 80, *pose)})
        frame, paid, over, _, info = env.step(np.array([80, 80], np.float32))
        mine, end, terms = task.step(Facts(frame=frame))
        assert mine == pytest.approx(paid, abs=0.03)
        if abs(info["coverage"] - SUCCESS) > 0.03:
            assert end == over
        assert terms["coverage"] == pytest.approx(info["coverage"], abs=0.03)
        read = [terms[name] for name in ("agent_x", "agent_y", "block_x", "block_y", "block_angle")]
        assert mine == pytest.approx(reward(np.array(read)))
        ends += end
    assert ends


def test_the_task_needs_a_frame_and_its_name_is_checked():
    with pytest.raises(ValueError, match="reads frames"):
        make_task(TASK).step(Facts())
    with pytest.raises(ValueError, match=r"no task 'nfd_gym\.games\.pusht\.task:Pusht'"):
        make_task("nfd_gym.games.pusht.task:Pusht")
