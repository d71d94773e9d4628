import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nfd_gym.actions import Continuous, Discrete, KeysAndMouse
from nfd_gym.data.clip import Clip, DataError, Event
from nfd_gym.data.rows import parse_action_rows, parse_vpt_rows, row_of
from nfd_gym.data.sources import open_source
from nfd_gym.data.store import ClipWriter, write_clip
from nfd_gym.keyboard import KEYS

SIZE = (32, 48)


def reopened(folder):
    source = open_source(folder)
    return source, source.read(0)


def test_a_clip_comes_back_equal(tmp_path, make_scroll):
    clip = make_scroll(40)
    write_clip(tmp_path, clip, KeysAndMouse(), crf=0)
    source, again = reopened(tmp_path)
    assert np.array_equal(again.frames, clip.frames)
    assert np.array_equal(again.actions, clip.actions)
    assert np.array_equal(again.rewards, clip.rewards)
    assert np.array_equal(again.pitch, clip.pitch)
    assert np.array_equal(again.state["yaw"], clip.state["yaw"])
    assert again.events == clip.events and again.name == clip.name and again.fps == 20
    assert source.codec.to_json() == KeysAndMouse().to_json() and source.size == SIZE


@given(
    st.lists(st.sampled_from(KEYS), unique=True, max_size=4),
    st.floats(-180, 180, width=32),
    st.floats(-180, 180, width=32),
)
def test_keys_and_mouse_survive_the_rows_bit_for_bit(tmp_path_factory, keys, pitch, yaw):
    codec = KeysAndMouse()
    vectors = [codec.vector(keys, pitch, yaw), codec.vector(["jump"])]
    rows = [row_of(codec, vector, None, {"hotbar": 0}) for vector in vectors]
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert np.array_equal(parse_vpt_rows(path, stuck_attack=False).chosen, vectors)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=3, max_size=3))
def test_real_actions_survive_the_rows_bit_for_bit(tmp_path_factory, values):
    vector = np.array(values, np.float32)
    row = row_of(Continuous(3), vector, None, {})
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"
    path.write_text(json.dumps(row) + "\n")
    assert np.array_equal(parse_action_rows(path, 3).chosen[0], vector)


def test_discrete_actions_and_odd_sizes(tmp_path):
    codec = Discrete(4)
    vectors = np.stack([codec.encode(n % 4) for n in (0, 3, 1, 2, 2)])
    frames = np.full((5, 17, 31, 3), 90, np.uint8)
    write_clip(tmp_path, Clip(frames, vectors), codec)
    source, again = reopened(tmp_path)
    assert source.size == (17, 31) and np.array_equal(again.actions, vectors)
    assert np.abs(again.frames.astype(int) - 90).max() <= 2


def test_lossy_video_keeps_colours(tmp_path):
    """Writing and reading agree on BT.601: a mismatch shifts every green and red."""
    frames = np.zeros((6, 32, 48, 3), np.uint8)
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    for index, colour in enumerate(colours):
        frames[:, :, index * 16 : index * 16 + 16] = colour
    codec = Discrete(2)
    clip = Clip(frames, np.stack([codec.encode(0)] * 6))
    write_clip(tmp_path, clip, codec)
    got = reopened(tmp_path)[1].frames[3, 16, 8::16].astype(int)
    assert np.abs(got - np.array(colours)).max() <= 4


def test_key_frames_come_often(tmp_path, make_scroll):
    write_clip(tmp_path, make_scroll(40), KeysAndMouse(), gop=8)
    source = open_source(tmp_path)
    assert np.diff([*source.video("scroll").key_frames, 40]).max() <= 8


def test_an_attack_in_the_first_row_is_ours_and_kept(tmp_path):
    """The stuck-attack rule is for VPT's recorder; a clip of ours may begin in mid-dig."""
    codec = KeysAndMouse()
    vectors = np.stack([codec.vector(), codec.vector(["attack"]), codec.vector(["attack"])])
    write_clip(tmp_path, Clip(np.zeros((3, 16, 16, 3), np.uint8), vectors), codec)
    assert np.array_equal(reopened(tmp_path)[1].actions, vectors)


def test_the_index_lists_clips_and_codec(tmp_path, make_scroll):
    writer = ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=SIZE, about={"env": "X"})
    writer.write(make_scroll(5, name="a"), seed=3)
    writer.write(make_scroll(6, name="b"))
    index = json.loads((tmp_path / "index.json").read_text())
    assert [(c["name"], c["frames"]) for c in index["clips"]] == [("a", 5), ("b", 6)]
    assert index["clips"][0]["seed"] == 3 and index["env"] == "X"
    assert index["codec"]["kind"] == "keys_and_mouse"


def test_a_store_continues(tmp_path, make_scroll):
    ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=SIZE).write(make_scroll(5, name="a"))
    again = ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=SIZE)
    assert "a" in again and "b" not in again
    again.write(make_scroll(6, name="b"))
    assert open_source(tmp_path).lengths == [5, 6]
    with pytest.raises(DataError, match="'a' is taken"):
        again.write(make_scroll(5, name="a"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fps": 10}, "with fps 20, not 10"),
        ({"size": (16, 16)}, "with height 32, not 16"),
        ({"codec": Discrete(2)}, "with codec"),
    ],
)
def test_another_kind_of_clip_is_refused(tmp_path, make_scroll, change, sentence):
    ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=SIZE).write(make_scroll(5))
    arguments = {"codec": KeysAndMouse(), "fps": 20, "size": SIZE, **change}
    with pytest.raises(DataError, match=sentence):
        ClipWriter(tmp_path, arguments.pop("codec"), **arguments)


def test_a_recording_of_others_is_not_written_into(pairs, make_row):
    folder = pairs.add([make_row()] * 3)
    (folder / "index.json").write_text('{"fps": 20, "clips": [{"name": "clip", "frames": 3}]}')
    with pytest.raises(DataError, match="write to another folder"):
        ClipWriter(folder, KeysAndMouse(), fps=20, size=SIZE)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_clip_leaves_nothing(tmp_path, make_scroll, error):
    writer = ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=SIZE)
    writer.write(make_scroll(5, name="a"))
    clip = make_scroll(5)
    with pytest.raises(error), writer.clip("b") as file:
        file.add(clip.frames[0], clip.actions[0])
        raise error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "a.mp4", "index.json"]
    assert open_source(tmp_path).names == ["a"]


def test_leftovers_of_a_killed_run_are_cleared(tmp_path, make_scroll):
    (tmp_path / ".b.mp4.part").write_bytes(b"half")
    (tmp_path / "index.json.part").write_bytes(b"mine, not the writer's")
    ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=SIZE).write(make_scroll(5))
    assert not (tmp_path / ".b.mp4.part").exists()
    assert (tmp_path / "index.json.part").exists()


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path, make_scroll, monkeypatch, step):
    writer = ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=SIZE)
    writer.write(make_scroll(5, name="a"))

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(DataError, match=r"No space left on device.*free space"):
        writer.write(make_scroll(5, name="b"))
    monkeypatch.undo()
    assert open_source(tmp_path).names == ["a"] and len(open_source(tmp_path).read(0)) == 5
    ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=SIZE).write(make_scroll(5, name="b"))
    assert open_source(tmp_path).names == ["a", "b"]


def test_a_real_size_limit_is_one_sentence(tmp_path, make_scroll):
    """The operating system itself refuses to write more, as a full disk does."""
    import resource

    writer = ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=SIZE, crf=0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(DataError, match="cannot be written"):
            writer.write(make_scroll(60, name="big"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.glob("*.mp4")) and not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden"])
def test_names_stay_in_the_folder(tmp_path, name):
    writer = ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=SIZE)
    with pytest.raises(DataError, match="not a plain file name"):
        writer.clip(name)


@pytest.mark.parametrize(
    ("frame", "action", "sentence"),
    [
        (np.zeros((16, 16, 3), np.uint8), np.zeros(25), "must be uint8"),
        (np.zeros((32, 48, 3), np.float32), np.zeros(25), "must be uint8"),
        (np.zeros((32, 48, 3), np.uint8), np.zeros(24), "25 finite numbers"),
        (np.zeros((32, 48, 3), np.uint8), np.full(25, np.nan), "25 finite numbers"),
    ],
)
def test_bad_frames_and_actions_are_refused(tmp_path, frame, action, sentence):
    writer = ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=SIZE)
    with pytest.raises(DataError, match=sentence), writer.clip("a") as file:
        file.add(frame, action)


def test_an_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be written"):
        ClipWriter(tmp_path / "file" / "sub", KeysAndMouse(), fps=20, size=SIZE)


def test_an_event_of_the_first_frame_is_not_an_action_result(tmp_path, make_scroll):
    """An event of frame 0 has no action that made it: the first row cannot hold it."""
    clip = make_scroll(5)
    events = (Event(0, "dig", "x"), Event(2, "dig", "y"))
    write_clip(tmp_path, Clip(clip.frames, clip.actions, events=events), KeysAndMouse())
    assert reopened(tmp_path)[1].events == (Event(2, "dig", "y"),)


def test_an_interruption_while_a_clip_is_opened_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nfd_gym.data.store.DepthEncoder", interrupted)
    writer = ClipWriter(tmp_path, Discrete(2), fps=20, size=(16, 16), depth=True, fov_y=60)
    with pytest.raises(KeyboardInterrupt), writer.clip("one"):
        raise AssertionError("never entered")
    assert not list(tmp_path.glob(".*.part"))
