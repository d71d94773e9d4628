"""Every trap of VPT contractor recordings, on synthetic mp4 + jsonl pairs."""

import json

import numpy as np
import pytest

from nfd_gym.actions import Camera
from nfd_gym.data.clip import DataError, Event
from nfd_gym.data.rows import parse_vpt_rows
from nfd_gym.data.sources import open_source
from nfd_gym.keyboard import DEGREES_PER_PIXEL, KEYS


def keys_of(source, clip):
    return [source.codec.keys(action) for action in clip.actions]


def test_the_camera_turns_exactly_one_pixel_per_action(pairs, make_row, pan):
    """The law of alignment: frame i is frame i-1 moved by actions[i], to the pixel."""
    moves = np.random.default_rng(0).integers(-3, 4, 30)
    rows = [make_row(mouse_dx=float(move)) for move in moves]
    source = open_source(pairs.add(rows))
    clip = source.read(0)
    columns = np.round(source.codec.rotation(clip.actions)[1] / DEGREES_PER_PIXEL).astype(int)
    assert columns[0] == 0
    assert np.array_equal(clip.frames, pan(columns))
    assert not np.array_equal(clip.frames, pan(np.roll(columns, 1)))
    assert not np.array_equal(clip.frames, pan(np.roll(columns, -1)))


def test_windows_are_aligned_like_the_whole(pairs, make_row):
    rows = [make_row(mouse_dx=float(n % 5 - 2)) for n in range(30)]
    source = open_source(pairs.add(rows))
    whole = source.read(0)
    for start in (0, 1, 13, 25):
        part = source.read(0, start, start + 5)
        assert np.array_equal(part.frames, whole.frames[start : start + 5])
        assert np.array_equal(part.actions, whole.actions[start : start + 5])
        assert np.array_equal(part.pitch, whole.pitch[start : start + 5])


def test_float_camera_is_not_truncated(pairs, make_row):
    """5.625 degrees stay 5.625 (openai/Video-Pre-Training#54 makes them 5)."""
    rows = [make_row(mouse_dx=37.5, mouse_dy=-0.5), make_row(), make_row()]
    source = open_source(pairs.add(rows, np.zeros((3, 16, 16, 3), np.uint8)))
    pitch, yaw = source.codec.rotation(source.read(0).actions)
    assert yaw[1] == pytest.approx(5.625, rel=1e-6)
    assert pitch[1] == pytest.approx(-0.075, rel=1e-6)


def test_stuck_attack_is_ignored_until_pressed_anew(pairs, make_row):
    rows = [
        make_row(mouse_buttons=[0], mouse_newButtons=[0]),
        make_row(mouse_buttons=[0]),
        make_row(mouse_buttons=[0, 1], mouse_newButtons=[1]),
        make_row(),
        make_row(mouse_buttons=[0], mouse_newButtons=[0]),
        make_row(mouse_buttons=[0]),
        make_row(),
    ]
    source = open_source(pairs.add(rows))
    pressed = [set(keys) & {"attack", "use"} for keys in keys_of(source, source.read(0))]
    assert pressed == [set(), set(), set(), {"use"}, set(), {"attack"}, {"attack"}]


def test_an_attack_that_begins_later_is_kept(pairs, make_row):
    rows = [make_row(), make_row(mouse_buttons=[0], mouse_newButtons=[0]), make_row()]
    source = open_source(pairs.add(rows))
    assert keys_of(source, source.read(0))[2] == ("attack",)


def test_hotbar_by_scroll(pairs, make_row):
    """The wheel is not recorded: a slot that changes without a key becomes its key."""
    slots = [0, 0, 3, 3, 3]
    source = open_source(pairs.add([make_row(hotbar=slot) for slot in slots]))
    assert keys_of(source, source.read(0)) == [(), (), ("hotbar.4",), (), ()]


def test_hotbar_by_key_is_not_doubled(pairs, make_row):
    rows = [
        make_row(hotbar=0),
        make_row(hotbar=0, keyboard_keys=["key.keyboard.4"]),
        make_row(hotbar=3, keyboard_keys=["key.keyboard.4"]),
        make_row(hotbar=3),
        make_row(hotbar=3),
    ]
    source = open_source(pairs.add(rows))
    assert keys_of(source, source.read(0)) == [(), (), ("hotbar.4",), ("hotbar.4",), ()]


def test_the_first_slot_is_no_press(pairs, make_row):
    """VPT's loader starts from slot 0 and invents a press when the first row has another one."""
    source = open_source(pairs.add([make_row(hotbar=5) for _ in range(3)]))
    assert keys_of(source, source.read(0)) == [(), (), ()]


def test_null_frames_are_kept(pairs, make_row):
    """VPT drops frames without action; a world model needs all of them: 20 per second."""
    rows = [make_row(mouse_dx=2.0 if row % 4 == 0 else 0.0) for row in range(20)]
    source = open_source(pairs.add(rows))
    assert source.lengths == [20] and len(source.read(0)) == 20


@pytest.mark.parametrize(("frames", "rows"), [(12, 9), (9, 12)])
def test_length_mismatch_uses_the_shorter(pairs, make_row, frames, rows):
    folder = pairs.add([make_row()] * rows, np.zeros((frames, 16, 16, 3), np.uint8))
    source = open_source(folder)
    assert source.lengths == [9]
    clip = source.read(0)
    assert len(clip.frames) == len(clip.actions) == 9


def test_gui_frames_do_not_turn_the_view(pairs, make_row):
    rows = [make_row(mouse_dx=0.0), make_row(mouse_dx=9.0, isGuiOpen=True), make_row(), make_row()]
    source = open_source(pairs.add(rows, np.zeros((4, 16, 16, 3), np.uint8)))
    clip = source.read(0)
    assert not source.codec.rotation(clip.actions)[1].any()
    assert clip.state["gui"].tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"mouse": None, "keyboard": None},
        {"mouse": {}, "keyboard": {}},
        {"mouse": {"dx": None, "buttons": None}, "keyboard": {"keys": None}},
        {"hotbar": None, "pitch": None},
    ],
)
def test_missing_fields_are_nothing_pressed(pairs, make_row, row):
    folder = pairs.add([make_row(), row, make_row()], np.zeros((3, 16, 16, 3), np.uint8))
    source = open_source(folder)
    assert not source.read(0).actions.any()


def test_pitch_is_of_the_frame_not_of_the_action(pairs, make_row):
    rows = [make_row(pitch=float(row)) for row in range(5)]
    clip = open_source(pairs.add(rows)).read(0)
    assert clip.pitch.tolist() == [0, 1, 2, 3, 4]


def test_without_pitch_there_is_none(pairs):
    folder = pairs.add([{"mouse": {}, "keyboard": {}}] * 3, np.zeros((3, 16, 16, 3), np.uint8))
    assert open_source(folder).read(0).pitch is None


def test_every_key_has_its_place(pairs, make_row):
    names = [
        "w",
        "a",
        "s",
        "d",
        "space",
        "left.shift",
        "left.control",
        "e",
        "q",
        "f",
        "escape",
        "9",
    ]
    rows = [
        make_row(keyboard_keys=[f"key.keyboard.{name}" for name in names], mouse_buttons=[0, 1, 2]),
        make_row(),
    ]
    source = open_source(pairs.add(rows, np.zeros((2, 16, 16, 3), np.uint8)))
    missing = {f"hotbar.{number}" for number in range(1, 9)}
    assert set(keys_of(source, source.read(0))[1]) == set(KEYS) - missing


def test_events_of_row_i_are_seen_in_frame_i_plus_1(pairs, make_row):
    rows = [make_row(events=[]) for _ in range(5)]
    rows[1] = make_row(events=[{"type": "dig", "node": "default:tree", "pos": [1, 2, 3]}])
    rows[4] = make_row(events=[{"type": "place", "node": "x", "pos": [0, 0, 0]}])
    clip = open_source(pairs.add(rows)).read(0)
    assert clip.events == (Event(2, "dig", "default:tree", (1.0, 2.0, 3.0)),)


def test_events_of_real_vpt_come_from_its_counters(pairs, make_row):
    """VPT logs cumulative counters before the action: a change in row i was made by row i-1."""
    log = "minecraft.mine_block:minecraft.oak_log"
    stats = [{}, {log: 1}, {log: 1}, {log: 2, "minecraft.use_item:minecraft.dirt": 1}, {log: 2}]
    clip = open_source(pairs.add([make_row(stats=value) for value in stats])).read(0)
    assert clip.events == (
        Event(1, "dig", "minecraft.oak_log"),
        Event(3, "dig", "minecraft.oak_log"),
        Event(3, "place", "minecraft.dirt"),
    )


def test_counters_of_an_earlier_session_are_no_events(pairs, make_row):
    stats = [{"mine_block:default:dirt": 40}] * 3
    assert open_source(pairs.add([make_row(stats=value) for value in stats])).read(0).events == ()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{broken\n", "clip.jsonl:2: not a JSON object"),
        ("[1, 2]\n", "clip.jsonl:2: a JSON object was expected"),
        ('{"mouse": {"dx": NaN}}\n', "clip.jsonl:2: not a JSON object .NaN"),
        ('{"mouse": {"dx": 1e9}}\n', "clip.jsonl:2: the camera turns"),
        ('{"mouse": {"dx": "far"}}\n', "clip.jsonl:2: a field has the wrong type"),
        ('{"mouse": [1]}\n', "clip.jsonl:2: a field has the wrong type"),
        ('{"keyboard": {"keys": 7}}\n', "clip.jsonl:2: a field has the wrong type"),
        ('{"mouse": {"buttons": [[]]}}\n', "clip.jsonl:2: a field has the wrong type"),
    ],
)
def test_a_bad_row_is_named(pairs, make_row, line, sentence):
    folder = pairs.add(
        [make_row(), make_row(), line, make_row()], np.zeros((4, 16, 16, 3), np.uint8)
    )
    with pytest.raises(DataError, match=sentence):
        open_source(folder).read(0)


def test_rows_that_are_not_utf8(pairs, make_row, tmp_path):
    folder = pairs.add([make_row()] * 3)
    path = folder / "clip.jsonl"
    path.write_bytes(path.read_bytes() + b'{"keyboard": "\xff\xfe"}\n')
    with pytest.raises(DataError, match=r"clip\.jsonl:3: not UTF-8"):
        parse_vpt_rows(path)


def test_minecraft_and_luanti_differ_in_field_of_view(pairs, make_row):
    folder = pairs.add([make_row()] * 3)
    assert open_source(folder).codec.camera == Camera(70.0)
    index = {"fps": 20, "clips": [{"name": "clip", "frames": 3}]}
    (folder / "index.json").write_text(json.dumps(index))
    assert open_source(folder).codec.camera == Camera(72.0, crosshair=5)


@pytest.mark.parametrize(
    ("index", "sentence"),
    [
        ('{"clips": [{"name": "../secret", "frames": 3}]}', "points outside its folder"),
        ('{"clips": [{"name": "/etc/passwd", "frames": 3}]}', "points outside its folder"),
        ('{"clips": [{"frames": 3}]}', "not an index of clips"),
        ('{"clips": 3}', "not an index of clips"),
        ("{oops", "not an index of clips"),
        ('{"clips": [{"name": "clip", "frames": 9}]}', "says 9 frames"),
        ('{"clips": []}', "no NAME.mp4"),
    ],
)
def test_a_bad_index_is_named(pairs, make_row, index, sentence):
    folder = pairs.add([make_row()] * 3)
    (folder / "index.json").write_text(index)
    with pytest.raises(DataError, match=sentence):
        open_source(folder).read(0)


def test_a_clip_listed_but_gone(pairs, make_row):
    folder = pairs.add([make_row()] * 3)
    (folder / "index.json").write_text('{"clips": [{"name": "gone", "frames": 3}]}')
    with pytest.raises(DataError, match=r"gone\.mp4: cannot be read"):
        open_source(folder).read(0)


def test_videos_without_rows_are_left_out(pairs, make_row, encode_mp4):
    folder = pairs.add([make_row()] * 3)
    encode_mp4(folder / "alone.mp4", np.zeros((3, 16, 16, 3), np.uint8))
    assert open_source(folder).names == ["clip"]
