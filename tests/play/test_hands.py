"""Keys and mouse: bindings, sampled inputs, and the actions that come of them."""

import json
import threading

import numpy as np
import pytest

from nfd_gym.actions import Continuous, Discrete, KeysAndMouse
from nfd_gym.keyboard import KEYS
from nfd_gym.play.bindings import DEFAULTS, MOVES, Bindings, load_bindings
from nfd_gym.play.bindings import KEYS as KEY_NAMES
from nfd_gym.play.controls import ARROW_DEGREES, make_controls
from nfd_gym.play.inputs import Inputs, Sample


def controls(**settings):
    return make_controls(KeysAndMouse("minerl"), Bindings(), **settings)


def test_every_default_key_exists_and_does_one_thing():
    keys = [key for keys in DEFAULTS.values() for key in keys]
    assert set(keys) <= KEY_NAMES
    assert len(keys) == len(set(keys))


def test_every_game_key_of_the_codec_can_be_pressed():
    assert set(MOVES) == set(KEYS) - {"ESC"}  # ESC frees the mouse here, it never reaches the world
    codec = KeysAndMouse("minerl")
    for name, keys in MOVES.items():
        vector = controls().vector(Sample(held=frozenset(keys[:1])))
        assert codec.keys(vector) == (name,)


def test_motion_within_a_tick_is_summed_and_becomes_minecraft_degrees():
    inputs = Inputs()
    for _ in range(7):
        inputs.move(3, -1)
    codec = KeysAndMouse("minerl")
    pitch, yaw = codec.rotation(controls().vector(inputs.take()))
    assert yaw == pytest.approx(21 * 0.15, rel=1e-5) and pitch == pytest.approx(-7 * 0.15, rel=1e-5)
    assert (inputs.take().dx, inputs.take().dy) == (0, 0)


def test_sensitivity_and_inverted_mouse_change_the_mouse_but_not_the_arrow_keys():
    codec = KeysAndMouse("minerl")
    strange = controls(sensitivity=2.0, invert_y=True)
    pitch, yaw = codec.rotation(strange.vector(Sample(dx=10, dy=10)))
    assert yaw == pytest.approx(3.0, rel=1e-5) and pitch == pytest.approx(-3.0, rel=1e-5)
    pitch, yaw = codec.rotation(strange.vector(Sample(held=frozenset({"left", "down"}))))
    assert yaw == pytest.approx(-ARROW_DEGREES, rel=1e-5)
    assert pitch == pytest.approx(ARROW_DEGREES, rel=1e-5)


def test_a_wild_flick_stays_within_the_camera_range():
    pitch, yaw = KeysAndMouse().rotation(controls().vector(Sample(dx=1e6, dy=-1e6)))
    assert yaw == pytest.approx(180, rel=1e-4) and pitch == pytest.approx(-180, rel=1e-4)


def test_the_wheel_walks_along_the_hotbar_and_wraps():
    codec, hands = KeysAndMouse("minerl"), controls()
    assert codec.keys(hands.vector(Sample(held=frozenset({"3"})))) == ("hotbar.3",)
    assert codec.keys(hands.vector(Sample(wheel=-1))) == ("hotbar.4",)
    assert codec.keys(hands.vector(Sample(wheel=4))) == ("hotbar.9",)


def test_a_key_tapped_between_two_ticks_counts_for_one_tick():
    inputs = Inputs()
    inputs.press("w")
    inputs.release("w")
    assert inputs.take().held == {"w"}
    assert inputs.take().held == frozenset()


def test_the_hands_are_sampled_and_never_queued():
    inputs = Inputs()
    for _ in range(100):  # a stuttering machine sees a hundred presses at once: one state
        inputs.press("w")
        inputs.release("w")
        inputs.press("s")
    assert inputs.take().held == {"w", "s"}
    assert inputs.take().held == {"s"}


def test_letting_go_forgets_motion_and_taps_too():
    inputs = Inputs()
    inputs.press("w")
    inputs.move(5, 5)
    inputs.scroll(1)
    inputs.release_all()
    sample = inputs.take()
    assert (sample.held, sample.dx, sample.dy, sample.wheel) == (frozenset(), 0, 0, 0)


def test_no_motion_is_lost_between_threads():
    inputs, total, done = Inputs(), 0.0, threading.Event()

    def push():
        for _ in range(5000):
            inputs.move(1, 0)
        done.set()

    thread = threading.Thread(target=push)
    thread.start()
    while not done.is_set():
        total += inputs.take().dx
    thread.join()
    assert total + inputs.take().dx == 5000


def test_the_first_event_of_a_tick_is_timed():
    inputs = Inputs()
    assert inputs.take().since is None
    inputs.move(1, 0)
    first = inputs.take().since
    inputs.move(1, 0)
    inputs.press("w")
    assert first is not None and inputs.take().since > first
    assert inputs.take().since is None


def test_rebinding_moves_a_key_and_keeps_the_rest(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"jump": "K", "attack": ["mouse left", "x"], "sneak": "r"}))
    bindings = load_bindings(path)
    assert bindings.pressed(frozenset({"k", "x", "w"})) == {"jump", "attack", "forward"}
    assert bindings.pressed(frozenset({"space"})) == set()
    assert bindings.uses["r"] == "sneak" and bindings.key_for("new place") == "-"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"jmp": "k"}', ["'jmp'", "'jump'"]),
        ('{"jump": "spcae"}', ["'spcae'", "'space'"]),
        ('{"jump": 3}', ["'jump'", "3"]),
        ('{"jump": "k", "sneak": "k"}', ["'k'", "'jump'", "'sneak'"]),
        ("[1, 2]", ["object"]),
        ("{", ["JSON"]),
    ],
)
def test_a_bad_bindings_file_is_refused_by_name(tmp_path, text, words):
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        load_bindings(path)
    assert all(word in str(error.value) for word in [str(path), *words])


def test_a_missing_bindings_file_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="no bindings file"):
        load_bindings(tmp_path / "none.json")


def test_a_pointer_world_follows_the_mouse_within_its_range():
    codec = Continuous(2, [0.0, 0.0], [512.0, 512.0], rest=(256.0, 256.0))
    hands = make_controls(codec, Bindings())
    start = codec.decode(hands.vector(Sample()))
    assert start == pytest.approx([256, 256], abs=1e-3)
    moved = codec.decode(hands.vector(Sample(dx=100, dy=-50)))
    assert moved == pytest.approx([384, 192], abs=1e-2)
    assert codec.decode(hands.vector(Sample(dx=1e5, dy=1e5))) == pytest.approx([512, 512], abs=1e-2)


def test_a_pointer_begins_at_rest_and_leaves_further_axes_there():
    """A car's brake pressed half way would keep it from driving."""
    codec = Continuous(3, [-1.0, 0.0, 0.0], [1.0, 1.0, 1.0])  # steering, gas, brake
    hands = make_controls(codec, Bindings())
    assert codec.decode(hands.vector(Sample())) == pytest.approx([0, 0, 0], abs=1e-6)
    moved = codec.decode(hands.vector(Sample(dx=100, dy=200)))
    assert moved == pytest.approx([0.5, 0.5, 0], abs=1e-6)


def test_number_keys_choose_discrete_actions():
    codec = Discrete(5)
    hands = make_controls(codec, Bindings())
    assert codec.decode(hands.vector(Sample(held=frozenset({"3"})))) == 2
    for nothing in (frozenset(), frozenset({"9"})):
        assert np.array_equal(hands.vector(Sample(held=nothing)), codec.encode(codec.noop()))


@pytest.mark.parametrize("sensitivity", [0.0, -1.0, 100.0, float("nan")])
def test_a_senseless_sensitivity_is_refused(sensitivity):
    with pytest.raises(ValueError, match="--sensitivity"):
        controls(sensitivity=sensitivity)
