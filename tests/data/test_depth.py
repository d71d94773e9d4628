"""Clips with depth and pose: what is written comes back, and what does not fit is refused."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nfd_gym.actions import Discrete, KeysAndMouse
from nfd_gym.data.clip import Clip, DataError, Event
from nfd_gym.data.loader import Loader
from nfd_gym.data.sources import open_source
from nfd_gym.data.store import ClipWriter, write_clip, writer_for

ROOT = Path(__file__).parents[2]


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


@pytest.fixture
def clip(make_room):
    return make_room(12)


def test_depth_is_lossless_and_poses_keep_a_tenth_of_a_millimetre(tmp_path, clip):
    depth = clip.depth.copy()
    depth[3] = np.random.default_rng(0).integers(0, 65536, depth[3].shape)  # sky, near, noise
    pose = clip.pose + np.array([-812.13, 40.5, 733.771, 359.9, -60.03], np.float32)
    clip = dataclasses.replace(clip, depth=depth, pose=pose)
    write_clip(tmp_path, clip, KeysAndMouse())
    again = open_source(tmp_path).read(0)
    assert np.array_equal(again.depth, depth)
    assert again.pose.dtype == np.float32 and np.abs(again.pose - pose).max() <= 1e-4
    assert np.allclose(again.pitch, pose[:, 4], atol=1e-4)


def test_colour_of_a_depth_store_is_fine(tmp_path, make_room):
    """39 dB or more, and no colour is shifted: matrix and range agree on both sides."""
    clip = make_room(6, size=(112, 192))
    write_clip(tmp_path, clip, KeysAndMouse())
    frames = open_source(tmp_path).read(0).frames
    assert psnr(frames, clip.frames) >= 39
    assert np.abs((frames.astype(float) - clip.frames).mean((0, 1, 2))).max() < 0.5


def test_any_window_equals_the_whole(tmp_path, make_room):
    write_clip(tmp_path, make_room(30, size=(16, 24)), KeysAndMouse())
    source = open_source(tmp_path)
    whole = source.read(0)
    for start, stop in ((29, 30), (0, 1), (7, 19), (11, 12), (3, 30)):
        part = source.read(0, start, stop)
        assert np.array_equal(part.depth, whole.depth[start:stop])
        assert np.array_equal(part.pose, whole.pose[start:stop])
        assert np.array_equal(part.frames, whole.frames[start:stop])
    assert len(source.video("room", ".depth.mkv").key_frames) == 30
    assert np.diff([*source.video("room").key_frames, 30]).max() <= 10


def test_the_loader_gives_windows_of_all_of_it(tmp_path, clip):
    events = (Event(4, "dig", "island:dirt", (1.0, 2.0, -3.5)),)
    write_clip(tmp_path, dataclasses.replace(clip, events=events), KeysAndMouse())
    whole = open_source(tmp_path).read(0)
    batch = Loader(open_source(tmp_path), window=5, batch=6, seed=0).batch(0)
    assert batch.depth.shape == (6, 5, 56, 96) and batch.pose.shape == (6, 5, 5)
    for lane, start in enumerate(batch.starts):
        assert np.array_equal(batch.depth[lane], whole.depth[start : start + 5])
        assert np.array_equal(batch.pose[lane], whole.pose[start : start + 5])
        expected = [dataclasses.replace(events[0], frame=4 - start)] if 0 <= 4 - start < 5 else []
        assert list(batch.events[lane]) == expected


def test_a_store_without_depth_loads_without(tmp_path, make_scroll):
    write_clip(tmp_path, make_scroll(20), KeysAndMouse())
    assert "depth" not in json.loads((tmp_path / "index.json").read_text())
    clip = open_source(tmp_path).read(0)
    batch = Loader(open_source(tmp_path), window=5, batch=2, seed=0).batch(0)
    assert clip.depth is clip.pose is batch.depth is batch.pose is None


def test_cut_and_align_carry_depth_and_pose(clip):
    part = clip.cut(3, 7)
    assert np.array_equal(part.depth, clip.depth[3:7]) and np.array_equal(part.pose, clip.pose[3:7])
    noop = clip.actions[0]
    rest = {"depth": clip.depth, "pose": clip.pose}
    aligned = Clip.align(clip.frames, clip.actions[1:], noop, **rest)
    assert np.array_equal(aligned.depth, clip.depth) and np.array_equal(aligned.pose, clip.pose)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: {"depth": c.depth[:-1]}, "12 frames but 11 depth pictures"),
        (lambda c: {"depth": c.depth.astype(np.float32)}, "depth must be uint16"),
        (lambda c: {"depth": c.depth[:, :8]}, "like the frames"),
        (lambda c: {"pose": c.pose[:-2]}, "12 frames but 10 poses"),
        (lambda c: {"pose": c.pose.astype(np.float64)}, "pose must be float32"),
        (lambda c: {"pose": np.full_like(c.pose, np.inf)}, "room:0: the pose is not finite"),
    ],
)
def test_clips_that_do_not_fit_together_are_refused(clip, change, sentence):
    with pytest.raises(DataError, match=sentence) as error:
        dataclasses.replace(clip, **change(clip))
    assert str(error.value).count("\n") == 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"depth": None}, "this store keeps depth; give depth and pose of every frame"),
        ({"pose": None}, "this store keeps depth; give depth and pose of every frame"),
        ({"depth": np.zeros((56, 95), np.uint16)}, r"depth must be uint16 \(56, 96\)"),
        ({"pose": [0, 1, 2, np.nan, 4]}, "5 finite numbers"),
        ({"pose": [0, 1, 2]}, "5 finite numbers"),
    ],
)
def test_a_frame_without_its_depth_is_refused_and_leaves_nothing(tmp_path, clip, change, sentence):
    writer = ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=(56, 96), depth=True)
    writer.write(clip, "whole")
    good = {"depth": clip.depth[0], "pose": clip.pose[0]}
    with pytest.raises(DataError, match=f"b:1: .*{sentence}"), writer.clip("b") as file:
        file.add(clip.frames[0], clip.actions[0], **good)
        file.add(clip.frames[0], clip.actions[0], **{**good, **change})
    assert open_source(tmp_path).names == ["whole"]
    assert not list(tmp_path.glob("*b.*"))


def test_depth_for_a_store_without_is_refused(tmp_path, clip):
    with pytest.raises(DataError, match="open it with depth=True"):
        ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=(56, 96)).write(clip)


def test_depth_needs_a_field_of_view(tmp_path):
    with pytest.raises(DataError, match="depth needs the vertical field of view"):
        ClipWriter(tmp_path, Discrete(2), fps=20, size=(56, 96), depth=True)
    ClipWriter(tmp_path, Discrete(2), fps=20, size=(56, 96), depth=True, fov_y=60)


def test_a_store_continues_only_as_it_began(tmp_path, clip):
    write_clip(tmp_path, clip, KeysAndMouse())
    options = {"fps": 20, "size": (56, 96)}
    with pytest.raises(DataError, match="with depth True, not None"):
        ClipWriter(tmp_path, KeysAndMouse(), **options)
    with pytest.raises(DataError, match=r"with fov_y 72.0, not 60"):
        ClipWriter(tmp_path, KeysAndMouse(), depth=True, fov_y=60, **options)
    ClipWriter(tmp_path, KeysAndMouse(), depth=True, **options).write(clip, "second")
    assert open_source(tmp_path).lengths == [12, 12]


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_full_disk_at_any_file_loses_nothing(tmp_path, clip, monkeypatch, failing):
    """Colour, depth or rows cannot be put in place: the clip is given up, the others stay."""
    writer = ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=(56, 96), depth=True)
    writer.write(clip, "a")
    calls, replace = [], os.replace

    def full(part, final):
        calls.append(final)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")
        replace(part, final)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DataError, match=r"No space left on device.*free space"):
        writer.write(clip, "b")
    monkeypatch.undo()
    assert open_source(tmp_path).names == ["a"] and not list(tmp_path.glob(".*"))
    again = ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=(56, 96), depth=True)
    again.write(clip, "b")
    assert np.array_equal(open_source(tmp_path).read(1).depth, clip.depth)


def test_a_real_size_limit_stops_depth_too(tmp_path, make_room):
    """The operating system refuses to write more while the depth file is the largest."""
    import resource

    clip = make_room(40, size=(16, 24))
    noise = np.random.default_rng(0).integers(0, 65536, clip.depth.shape).astype(np.uint16)
    writer = ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=(16, 24), depth=True, crf=40)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, before[1]))
    try:
        with pytest.raises(DataError, match="cannot be written"):
            writer.write(dataclasses.replace(clip, depth=noise), "big")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_a_damaged_depth_file_is_named(tmp_path, clip):
    write_clip(tmp_path, clip, KeysAndMouse())
    path = tmp_path / "room.depth.mkv"
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"room\.depth\.mkv"):
        open_source(tmp_path).read(0)


def test_a_depth_file_of_another_length_is_named(tmp_path, clip, make_room):
    write_clip(tmp_path / "a", clip, KeysAndMouse())
    write_clip(tmp_path / "b", make_room(7), KeysAndMouse())
    os.replace(tmp_path / "b" / "room.depth.mkv", tmp_path / "a" / "room.depth.mkv")
    with pytest.raises(DataError, match="7 depth pictures for 12 frames"):
        open_source(tmp_path / "a").read(0)


@pytest.mark.parametrize("eye", [[0, 1, 2], [0, 1, 2, 3, None], "here", [0, 1, 2, 3, 1e60]])
def test_a_damaged_pose_is_named_by_its_row(tmp_path, clip, eye):
    write_clip(tmp_path, clip, KeysAndMouse())
    path = tmp_path / "room.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[5]["eye"] = eye
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"room\.jsonl:5: "):
        open_source(tmp_path).read(0)


@pytest.mark.parametrize(
    ("item", "event"),
    [
        (("dig", "x:dirt"), Event(3, "dig", "x:dirt")),
        (["place", "x:dirt", (1, 2, 3)], Event(3, "place", "x:dirt", (1.0, 2.0, 3.0))),
        ({"type": "dig", "node": "x:dirt"}, Event(3, "dig", "x:dirt")),
        (
            {"type": "place", "node": "x:stone", "pos": [1, 2.5, -3]},
            Event(3, "place", "x:stone", (1.0, 2.5, -3.0)),
        ),
        (Event(9, "dig", "x"), Event(3, "dig", "x")),
    ],
)
def test_events_of_every_form(item, event):
    """Luanti reports objects, Gymnasium recordings pairs (a pair-only reader lost whole clips)."""
    assert Event.from_info(3, item) == event


@pytest.mark.parametrize(
    "item", ["dig", ("dig",), {"node": "x"}, {"type": "dig", "pos": 3}, ("dig", "x", (1, 2)), 7]
)
def test_events_that_are_none_are_one_sentence(item):
    with pytest.raises(DataError):
        Event.from_info(0, item)


def test_poses_without_depth(tmp_path, clip):
    """A store of colour may know where the eye is; the rows carry it."""
    clip = dataclasses.replace(clip, depth=None)
    write_clip(tmp_path, clip, KeysAndMouse())
    again = open_source(tmp_path).read(0, 2, 9)
    assert again.depth is None and np.abs(again.pose - clip.pose[2:9]).max() <= 1e-4


RECORDING = """
import sys, numpy as np
from nfd_gym.actions import Discrete
from nfd_gym.data.store import ClipWriter
writer = ClipWriter(sys.argv[1], Discrete(2), fps=20, size=(16, 24), depth=True, fov_y=72)
frame, depth = np.zeros((16, 24, 3), np.uint8), np.zeros((16, 24), np.uint16)
for number in range(10**6):
    with writer.clip(f"c{number:04d}") as file:
        for tick in range(30):
            file.add(frame + tick, [1, 0], depth=depth + tick, pose=[tick, 0, 0, 0, 0])
"""


def test_a_killed_recording_leaves_whole_clips_only(tmp_path):
    """SIGKILL at some moment; what the index lists is whole, and the store continues."""
    process = subprocess.Popen([sys.executable, "-c", RECORDING, str(tmp_path)], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (tmp_path / "c0003.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    source = open_source(tmp_path)
    assert len(source.names) >= 3
    for index in range(len(source.names)):
        clip = source.read(index)
        assert clip.depth[:, 0, 0].tolist() == clip.pose[:, 0].tolist() == list(range(30))
    options = {"fps": 20, "size": (16, 24), "depth": True, "fov_y": 72}
    again = ClipWriter(tmp_path, Discrete(2), **options)
    assert not list(tmp_path.glob(".*.part"))
    actions = np.tile(np.float32([1, 0]), (30, 1))
    again.write(dataclasses.replace(clip, actions=actions), f"c{len(source.names):04d}")
    assert len(open_source(tmp_path).names) == len(source.names) + 1


def test_cut_clips_go_into_a_writer_for_their_source(tmp_path, clip):
    """Start clips are cut out of footage: depth, poses and field of view come along."""
    write_clip(tmp_path / "a", clip, KeysAndMouse(), fov_y=65)
    source = open_source(tmp_path / "a")
    writer_for(tmp_path / "b", source, crf=20).write(source.read(0, 3, 8), "start")
    again = open_source(tmp_path / "b")
    assert again.index.fov_y == 65 and np.array_equal(again.read(0).depth, clip.depth[3:8])
