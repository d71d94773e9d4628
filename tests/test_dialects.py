import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_gym import dialects
from nfd_gym.actions import ActionError, KeysAndMouse
from nfd_gym.keyboard import KEYS, VPT_CAMERA

codec = KeysAndMouse("minerl")
degrees = st.floats(-20, 20, width=32)
held = st.lists(st.sampled_from(KEYS), unique=True)
vectors = st.builds(codec.vector, held, degrees, degrees)


@given(vectors)
def test_minerl_round_trip(vector):
    assert np.allclose(dialects.from_minerl(dialects.to_minerl(vector)), vector, atol=1e-6)


@given(vectors)
def test_oasis_round_trip(vector):
    action = dialects.to_oasis(vector)
    assert action.shape == (25,) and np.abs(action).max() <= 1
    assert np.allclose(dialects.from_oasis(action), vector, atol=1e-5)


@given(vectors)
def test_minestudio_and_craftground_lose_only_what_they_cannot_name(vector):
    named = vector.copy()
    named[[KEYS.index(key) for key in dialects.UNNAMED]] = 0
    assert np.allclose(dialects.from_minestudio(dialects.to_minestudio(vector)), named, atol=1e-6)
    assert np.allclose(dialects.from_craftground(dialects.to_craftground(vector)), named, atol=1e-6)


def test_minestudio_has_twenty_buttons_and_a_camera():
    action = dialects.to_minestudio(codec.vector())
    assert len(action) == 21 and "camera" in action


def test_craftground_spellings():
    """Newer versions write hotbar_3 and one camera pair; both spellings mean the same."""
    new = dialects.from_craftground({"hotbar_3": True, "camera": (1.5, -2.0)})
    old = dialects.from_craftground({"hotbar.3": True, "camera_pitch": 1.5, "camera_yaw": -2.0})
    assert np.array_equal(new, old) and codec.keys(new) == ("hotbar.3",)
    assert isinstance(dialects.to_craftground(new)["hotbar.3"], bool)


def test_oasis_order_and_camera():
    action = dialects.to_oasis(codec.vector(["inventory", "drop", "forward"], pitch=-10, yaw=20))
    assert action[0] == 1 and action[24] == 1 and action[11] == 1
    assert action[15] == pytest.approx(-0.5) and action[16] == pytest.approx(1.0)
    assert dialects.to_oasis(codec.vector([], yaw=90))[16] == 1  # no number for more


@given(
    st.lists(st.sampled_from(range(-1, 9)), min_size=7, max_size=7),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_mineworld_tokens_round_trip(choices, pitch, yaw):
    """Every sentence of the language comes back as itself."""
    slots = [
        dialects.MINEWORLD_NULL
        if choice < 0
        else dialects.MINEWORLD_KEYS.index(keys[choice % len(keys)])
        for choice, keys in zip(choices, dialects.MINEWORLD_SLOTS, strict=True)
    ]
    tokens = [65, 23 + pitch, 44 + yaw, *slots, 67]
    vector = dialects.from_mineworld(tokens)
    if {"jump", "sneak"} <= set(codec.keys(vector)):  # MineWorld never says both
        return
    assert dialects.to_mineworld(vector) == tokens


def test_mineworld_vocabulary():
    assert dialects.MINEWORLD_END + 1 == 68
    still = dialects.to_mineworld(codec.vector())
    assert still == [65, 33, 54, *[66] * 7, 67]
    values = dialects.MINEWORLD_CAMERA.to_degrees(np.arange(10, 21))
    expected = [0, 2.25, 5.15, 8.87, 13.67, 19.85, 27.8, 38.0, 51.2, 68.2, 90]
    assert values.tolist() == pytest.approx(expected, abs=0.05)


def test_mineworld_drops_contradictions():
    for pair in (("forward", "back"), ("use", "attack"), ("jump", "sneak"), ("drop", "pickItem")):
        tokens = dialects.to_mineworld(codec.vector(pair))
        assert tokens[3:10] == [dialects.MINEWORLD_NULL] * 7


@given(st.integers(0, 8640), st.integers(0, 120))
def test_vpt_joint_actions_round_trip(buttons, camera):
    vector = dialects.from_vpt_joint(buttons, camera)
    again_buttons, again_camera = dialects.to_vpt_joint(vector)
    moves = buttons < 8640 and buttons % 2 == 1
    if moves and camera == 60:  # "the camera moves by nothing" is the same as "it does not move"
        assert (again_buttons, again_camera) == (buttons - 1, 60)
    else:
        assert (again_buttons, again_camera) == (buttons, camera if moves else 60)


def test_vpt_joint_sizes():
    assert dialects.VPT_INVENTORY + 1 == 8641
    assert dialects.to_vpt_joint(codec.vector()) == (0, 60)
    assert codec.keys(dialects.from_vpt_joint(8640, 60)) == ("inventory",)
    right = dialects.from_vpt_joint(1, 65)
    assert codec.rotation(right)[1] == pytest.approx(VPT_CAMERA.limit, rel=1e-5)


@pytest.mark.parametrize(
    "convert",
    [
        lambda: dialects.from_oasis(np.zeros(24)),
        lambda: dialects.from_oasis(np.full(25, np.nan)),
        lambda: dialects.from_mineworld([65, 33, 54, 67]),
        lambda: dialects.from_mineworld([65, 33, 54, *[66] * 7, 66]),
        lambda: dialects.from_mineworld([65, 33, 54, 0, *[66] * 6, 67]),
        lambda: dialects.from_mineworld([65, 60, 54, *[66] * 7, 67]),
        lambda: dialects.from_vpt_joint(8641, 0),
        lambda: dialects.from_vpt_joint(0, 121),
        lambda: dialects.from_minestudio({"hotbar_1": 1}),
        lambda: dialects.vectors_from_columns({"fly": np.zeros(3)}, 3),
    ],
)
def test_foreign_nonsense_is_refused(convert):
    with pytest.raises(ActionError):
        convert()


def test_columns_become_rows():
    columns = {"forward": np.array([1, 0, 1]), "camera": np.array([[0, 5.625], [0, 0], [-3, 0]])}
    vectors = dialects.vectors_from_columns(columns, 3)
    assert [codec.keys(vector) for vector in vectors] == [("forward",), (), ("forward",)]
    assert codec.rotation(vectors)[1].tolist() == pytest.approx([5.625, 0, 0])
