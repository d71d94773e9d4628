import numpy as np
import pytest

from nfd_gym.data.clip import Clip, DataError, Event, event_flags, is_trunk, shift


def blank(count):
    return np.zeros((count, 4, 6, 3), np.uint8)


def test_align_moves_everything_to_the_frame_it_made():
    chosen = np.arange(1, 6, dtype=np.float32)[:, None]
    rewards = np.arange(10, 15, dtype=np.float32)
    events = [Event(0, "dig", "a"), Event(4, "dig", "never filmed")]
    clip = Clip.align(blank(5), chosen, np.array([0.0]), rewards=rewards, events=events)
    assert clip.actions[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert clip.rewards.tolist() == [0, 10, 11, 12, 13]
    assert clip.events == (Event(1, "dig", "a"),)


def test_align_takes_one_action_less_than_frames():
    """Gymnasium's episodes: T + 1 observations, T actions."""
    clip = Clip.align(blank(4), np.ones((3, 2), np.float32), np.zeros(2))
    assert clip.actions.tolist() == [[0, 0], [1, 1], [1, 1], [1, 1]]


@pytest.mark.parametrize("rows", [2, 6])
def test_align_refuses_other_lengths(rows):
    with pytest.raises(DataError, match="4 frames need 4 or 3 chosen actions"):
        Clip.align(blank(4), np.ones((rows, 2), np.float32), np.zeros(2))


def test_shift_is_the_same_law():
    assert shift(np.array([5, 6, 7]), np.array(0)).tolist() == [0, 5, 6]


def test_cut_keeps_what_belongs_together(make_scroll):
    clip = make_scroll(20)
    part = clip.cut(3, 9)
    assert len(part) == 6
    assert np.array_equal(part.frames, clip.frames[3:9])
    assert np.array_equal(part.actions, clip.actions[3:9])
    assert np.array_equal(part.pitch, clip.pitch[3:9]) and part.rewards[0] == 3
    assert part.events == (Event(0, "dig", "default:tree"), Event(4, "place", "default:cobble"))
    assert np.array_equal(part.state["yaw"], clip.state["yaw"][3:9])


@pytest.mark.parametrize("cut", [(-1, 3), (0, 21), (5, 4)])
def test_cut_refuses_what_is_not_there(make_scroll, cut):
    with pytest.raises(DataError, match="it has 20"):
        make_scroll(20).cut(*cut)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"frames": np.zeros((4, 4, 6, 3), np.float32)}, "uint8"),
        ({"frames": np.zeros((4, 4, 6), np.uint8)}, "uint8"),
        ({"actions": np.zeros((4, 2))}, "float32"),
        ({"actions": np.zeros((3, 2), np.float32)}, "4 frames but 3 actions"),
        ({"pitch": np.zeros(5, np.float32)}, "5 pitch"),
        ({"rewards": np.zeros(3, np.float32)}, "3 rewards"),
        ({"state": {"yaw": np.zeros(2)}}, "2 yaw"),
        ({"actions": np.array([[0], [1], [np.nan], [2]], np.float32)}, "c:2: the action"),
    ],
)
def test_a_clip_is_checked_when_made(fields, sentence):
    good = {"frames": blank(4), "actions": np.zeros((4, 2), np.float32), "name": "c"}
    with pytest.raises(DataError, match=sentence):
        Clip(**{**good, **fields})


@pytest.mark.parametrize(
    ("node", "trunk"),
    [
        ("default:tree", True),
        ("default:pine_tree", True),
        ("default:acacia_tree", True),
        ("default:aspen_tree", True),
        ("default:jungletree", True),
        ("minecraft.oak_log", True),
        ("default:leaves", False),
        ("default:jungleleaves", False),
        ("default:pine_needles", False),
        ("default:wood", False),
    ],
)
def test_trunks(node, trunk):
    assert is_trunk(node) is trunk


def test_event_flags():
    events = (
        Event(1, "dig", "default:tree"),
        Event(2, "dig", "default:dirt"),
        Event(3, "place", "x:tree"),
    )
    flags = event_flags(events, 5)
    assert flags["dig"].tolist() == [False, True, True, False, False]
    assert flags["chop"].tolist() == [False, True, False, False, False]
    assert flags["place"].tolist() == [False, False, False, True, False]
