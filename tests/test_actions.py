import json

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from nfd_gym.actions import (
    ActionError,
    Camera,
    Continuous,
    Discrete,
    KeysAndMouse,
    codec_for_space,
    codec_from_json,
)
from nfd_gym.keyboard import (
    COMBINATIONS,
    KEYS,
    PITCH,
    VPT_CAMERA,
    YAW,
    camera_to_scalar,
    scalar_to_camera,
)

degrees = st.floats(-180, 180, width=32)
held = st.lists(st.sampled_from(KEYS), unique=True)
PRESETS = KeysAndMouse.presets
CODECS = [
    *(KeysAndMouse(preset) for preset in PRESETS),
    Continuous(3, [-1, 0, 0], [1, 1, 2]),
    Discrete(5, rest=2),
]
codec_names = pytest.mark.parametrize(
    "codec", CODECS, ids=lambda codec: f"{codec.kind}-{codec.preset}"
)


def seeded(space: gymnasium.Space, count: int = 100):
    space.seed(0)
    return [space.sample() for _ in range(count)]


@codec_names
def test_encoding_keeps_all_that_the_space_can_say(codec):
    for action in seeded(codec.space()):
        vector = codec.encode(action)
        assert vector.shape == (codec.width,) and vector.dtype == np.float32
        again = codec.encode(codec.decode(vector))
        assert np.allclose(vector, again, atol=1e-6)


@codec_names
def test_decoded_actions_belong_to_the_space(codec):
    for action in seeded(codec.space(), 30):
        assert codec.space().contains(codec.decode(codec.encode(action)))
    assert codec.space().contains(codec.noop())


@codec_names
def test_the_codec_survives_json(codec):
    text = json.dumps(codec.to_json())
    again = codec_from_json(json.loads(text))
    assert again.to_json() == codec.to_json() and again.space() == codec.space()
    for action in seeded(codec.space(), 5):
        assert np.array_equal(again.encode(action), codec.encode(action))


@codec_names
def test_encode_gives_a_fresh_vector(codec):
    """A caller that writes into its vector must not change the next one."""
    codec.encode(codec.noop())[:] = 7
    assert not (codec.encode(codec.noop()) == 7).any()


@pytest.mark.parametrize("preset", PRESETS)
def test_the_no_op_is_the_zero_vector(preset):
    codec = KeysAndMouse(preset)
    assert not codec.encode(codec.noop()).any()


@pytest.mark.parametrize("first", PRESETS)
@pytest.mark.parametrize("second", PRESETS)
def test_presets_share_one_vector_layout(first, second):
    """Forward is the same number for the model, whoever presses it."""
    codec = KeysAndMouse(first).with_preset(second)
    vector = codec.vector(["forward", "attack"], yaw=0.0)
    assert np.array_equal(codec.encode(codec.decode(vector)), vector) or second == "discrete"
    assert KeysAndMouse(first).vector(["forward"])[KEYS.index("forward")] == 1


def test_with_preset_keeps_the_camera():
    codec = KeysAndMouse(camera=Camera(70.0)).with_preset("box")
    assert codec.camera == Camera(70.0) and codec.preset == "box"


@given(held, degrees, degrees)
def test_minerl_is_lossless(keys, pitch, yaw):
    codec = KeysAndMouse("minerl")
    vector = codec.vector(keys, pitch, yaw)
    action = codec.decode(vector)
    assert codec.space().contains(action)
    assert {key for key in KEYS if action[key]} == set(keys)
    assert np.allclose(action["camera"], [pitch, yaw], rtol=1e-5, atol=1e-6)


@given(degrees, degrees)
def test_rotation_is_what_was_commanded(pitch, yaw):
    codec = KeysAndMouse()
    got = codec.rotation(np.stack([codec.vector([], pitch, yaw)] * 2))
    assert got[0].shape == (2,)
    assert np.allclose(got, [[pitch] * 2, [yaw] * 2], rtol=1e-5, atol=1e-6)


@given(st.floats(-180, 180))
def test_camera_scale_is_odd_monotone_and_invertible(angle):
    assert camera_to_scalar(-angle) == -camera_to_scalar(angle)
    assert camera_to_scalar(angle + 1) > camera_to_scalar(angle)
    assert scalar_to_camera(camera_to_scalar(angle)) == pytest.approx(angle, rel=1e-12, abs=1e-12)


def test_ten_degrees_are_one():
    assert camera_to_scalar(10.0) == pytest.approx(1.0, abs=1e-15)


def test_half_degrees_are_not_truncated():
    """VPT's loader turns 5.625 degrees into 5 (openai/Video-Pre-Training#54); ours must not."""
    codec = KeysAndMouse("minerl")
    assert codec.decode(codec.vector([], 5.625, -0.15))["camera"].tolist() == pytest.approx(
        [5.625, -0.15], rel=1e-6
    )


def test_minerl_space_is_minerls():
    space = KeysAndMouse("minerl").space()
    expected = [
        "ESC", "attack", "back", "camera", "drop", "forward",
        *(f"hotbar.{n}" for n in range(1, 10)), "inventory", "jump", "left",
        "pickItem", "right", "sneak", "sprint", "swapHands", "use",
    ]  # fmt: skip
    assert list(space.spaces) == expected
    assert space["camera"] == spaces.Box(-180, 180, (2,), np.float32)
    assert all(space[name] == spaces.Discrete(2) for name in expected if name != "camera")


def test_vpt_camera_bins():
    """Values computed from VPT's published mu-law: 11 bins, 10 degrees, mu 10."""
    positive = [0.0, 0.615, 1.609, 3.215, 5.809, 10.0]
    values = VPT_CAMERA.to_degrees(np.arange(11))
    assert values[5:].tolist() == pytest.approx(positive, abs=1e-3)
    assert np.allclose(values, -values[::-1])
    assert VPT_CAMERA.to_bin(values).tolist() == list(range(11))
    assert VPT_CAMERA.to_bin([-50.0, 50.0]).tolist() == [0, 10]


def test_multidiscrete_cancels_opposite_keys():
    codec = KeysAndMouse("multidiscrete")
    both = codec.vector(["forward", "back", "left"])
    assert codec.keys(codec.encode(codec.decode(both))) == ("left",)


def test_named_combinations_round_trip():
    codec = KeysAndMouse("discrete")
    assert 16 <= len(COMBINATIONS) <= 25
    vectors = [codec.encode(number) for number in range(len(COMBINATIONS))]
    assert [int(codec.decode(vector)) for vector in vectors] == list(range(len(COMBINATIONS)))
    assert codec.rotation(vectors[list(COMBINATIONS).index("turn_right")])[1] > 5
    assert codec.rotation(vectors[list(COMBINATIONS).index("look_down")])[0] > 3


def test_box_rests_near_zero_and_obeys_beyond_half():
    codec = KeysAndMouse("box")
    assert not codec.encode(np.full(8, 0.49, np.float32))[:PITCH].any()
    keys = codec.keys(codec.encode(np.array([1, -1, 0.6, 0.6, -1, 1, 0, 0], np.float32)))
    assert set(keys) == {"forward", "left", "jump", "sprint", "use"}
    assert codec.encode(np.array([0] * 7 + [1], np.float32))[YAW] == 1  # ten degrees to the right


@pytest.mark.parametrize(
    ("codec", "action", "sentence"),
    [
        (KeysAndMouse("multidiscrete"), np.zeros(11), "11 whole numbers"),
        (KeysAndMouse("multidiscrete"), np.zeros(10, int), "11 whole numbers"),
        (KeysAndMouse("multidiscrete"), np.full(11, 9), "outside the space"),
        (KeysAndMouse("discrete"), 24, "from 0 to 23"),
        (KeysAndMouse("discrete"), 1.5, "from 0 to 23"),
        (KeysAndMouse("minerl"), {"foward": 1}, "did you mean 'forward'"),
        (KeysAndMouse("minerl"), {"forward": 2}, "key forward"),
        (KeysAndMouse("minerl"), {"camera": [np.nan, 0]}, "finite"),
        (KeysAndMouse("minerl"), {"camera": [0, 181]}, r"\+-180 degrees"),
        (KeysAndMouse("minerl"), [1, 2], "a dict of keys"),
        (KeysAndMouse("box"), np.full(8, np.inf), "8 finite numbers"),
        (Continuous(2), [np.nan, 0.0], "2 finite numbers"),
        (Continuous(2), [0.0], "2 finite numbers"),
        (Discrete(3), 3, "from 0 to 2"),
        (Discrete(3), -1, "from 0 to 2"),
    ],
)
def test_bad_actions_are_refused_in_one_sentence(codec, action, sentence):
    with pytest.raises(ActionError, match=sentence):
        codec.encode(action)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: KeysAndMouse("multidiscreet"), "did you mean 'multidiscrete'"),
        (lambda: Continuous(2, 1.0, 1.0), "low < high"),
        (lambda: Continuous(1, -np.inf, 1.0), "finite bounds"),
        (lambda: Discrete(0), "n >= 1"),
        (lambda: codec_from_json({"kind": "discret", "n": 3}), "did you mean 'discrete'"),
        (lambda: codec_from_json({"kind": "discrete", "m": 3}), "no discrete codec"),
        (lambda: codec_for_space(spaces.Box(0, 1, (2, 2))), "no codec for the action space"),
        (lambda: KeysAndMouse().vector(["jmp"]), "did you mean 'jump'"),
    ],
)
def test_bad_codecs_are_refused(make, sentence):
    with pytest.raises(ActionError, match=sentence):
        make()


@given(st.lists(st.floats(-1000, 1000, width=32), min_size=3, max_size=3))
def test_continuous_is_affine_and_does_not_clip(values):
    """Recordings go beyond the nominal range; they must come back as they were."""
    codec = Continuous(3, [-1, 0, -100], [1, 1, 300])
    assert np.allclose(codec.decode(codec.encode(values)), values, rtol=1e-4, atol=1e-3)


def test_continuous_ends_map_to_plus_minus_one():
    codec = Continuous(2, [0, -3], [512, 5])
    assert codec.encode([0, -3]).tolist() == [-1, -1]
    assert codec.encode([512, 5]).tolist() == [1, 1]


def test_a_car_rests_without_pedals():
    codec = codec_for_space(spaces.Box(np.array([-1, 0, 0], np.float32), np.ones(3, np.float32)))
    assert codec.noop().tolist() == [0, 0, 0]


def test_codec_for_space_finds_discrete_and_minerl():
    assert codec_for_space(spaces.Discrete(6)).width == 6
    assert codec_for_space(KeysAndMouse("minerl").space()).kind == "keys_and_mouse"


def test_decode_refuses_a_vector_of_nan():
    with pytest.raises(ActionError, match="25 finite"):
        KeysAndMouse().decode(np.full(25, np.nan))
