"""Statistics with known answers."""

import numpy as np
import pytest

from nfd_gym.actions import KeysAndMouse
from nfd_gym.data.clip import Event
from nfd_gym.data.statistics import Played, describe, long_runs, returns, turning

CODEC = KeysAndMouse()


def played(vectors, **changes):
    return Played(
        frames=len(vectors),
        clips=1,
        seconds=len(vectors) / 20,
        actions=[np.stack(vectors)],
        **changes,
    )


def test_shares_of_keys_events_and_stands():
    still, dig = CODEC.vector(), CODEC.vector(["attack"])
    vectors = [still] * 250 + [dig] * 50 + [CODEC.vector(["use"])] * 20 + [still] * 180
    made = played(vectors)
    made.count((Event(1, "dig", "island:dirt"),) * 10 + (Event(3, "place", "island:wood"),) * 5)
    made.count((Event(1, "dig", "island:sand"),) * 5)
    text = "\n".join(describe(CODEC, made))
    assert "attack 10.0%" in text and "use 4.0%" in text
    assert "does nothing: 86.0% of frames, for 10 seconds or longer: 50.0%" in text
    assert "events: dig 15 = 3.00% (island:dirt 10, island:sand 5)" in text
    assert "events: place 5 = 1.00% (island:wood 5)" in text


@pytest.mark.parametrize(("least", "expected"), [(3, "000111100"), (2, "110111100"), (5, "0" * 9)])
def test_long_runs(least, expected):
    mask = np.array([char == "1" for char in "110111101"])
    assert "".join("01"[int(value)] for value in long_runs(mask, least)) == expected


def test_turns_are_measured_over_a_second():
    """2 degrees a frame at 20 fps are 40 degrees a second, no turn; 3 are 60."""
    assert not turning(np.full(60, 2.0, np.float32), 20).any()
    assert turning(np.full(60, 3.0, np.float32), 20).tolist() == [False] * 14 + [True] * 46
    there_and_back = np.array([30.0, -30.0] * 20, np.float32)
    assert not turning(there_and_back, 20).any()


def walk(*legs):
    """Poses of legs (frames, metres a frame along x, degrees a frame)."""
    steps = np.concatenate([np.tile([[dx, turn]], (count, 1)) for count, dx, turn in legs])
    pose = np.zeros((len(steps), 5), np.float32)
    pose[:, [0, 3]] = np.cumsum(steps, axis=0)
    return pose


@pytest.mark.parametrize(
    ("legs", "seen"),
    [
        ([(60, 0.0, 0.0)], False),  # standing is no return
        ([(60, 0.2, 0.0)], False),  # nor is walking on
        ([(60, 0.2, 0.0), (60, -0.2, 0.0)], True),
        ([(20, 0.2, 0.0), (20, -0.2, 0.0)], False),  # 4 m: never away
        ([(36, 0.0, 10.0)], True),  # once round
        ([(16, 0.0, 10.0)], False),
    ],
)
def test_returns_need_to_have_been_away(legs, seen):
    assert returns(walk(*legs), 20).any() == seen


def test_a_return_lasts_as_long_as_the_place_is_seen_again():
    pose = walk((60, 0.2, 0.0), (60, -0.2, 0.0))
    back = returns(pose, 20)
    assert not back[:60].any() and back[100:].all()
