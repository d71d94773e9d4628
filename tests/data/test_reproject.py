"""Depth, pose and picture agree in a ray-cast room, and every kind of disagreement is found."""

import dataclasses
import json

import numpy as np
import pytest
from box_room import FOV, ray_cast, room_frame

from nfd_gym.__main__ import main
from nfd_gym.actions import KeysAndMouse
from nfd_gym.data.check import check_source
from nfd_gym.data.reproject import agreement, project, splat, unproject, view_axes
from nfd_gym.data.sources import open_source
from nfd_gym.data.store import write_clip


def jerky(make_room, count=24, size=(56, 96), seed=0):
    """A walk whose turns change from frame to frame, so that a pose one frame late shows."""
    clip = make_room(count, size=size)
    rng = np.random.default_rng(seed)
    pose = clip.pose.astype(np.float64)
    pose[:, 3] = 20 + np.cumsum(rng.choice([-7.0, 0.0, 7.0], count))
    pose = pose.astype(np.float32)
    frames, depth = zip(*(room_frame(one.astype(float), size, 2) for one in pose), strict=True)
    return dataclasses.replace(
        clip, frames=np.stack(frames), depth=np.stack(depth), pose=pose, name="room"
    )


@pytest.mark.parametrize("pitch", [-89.0, 0.0, 37.0, 89.0])
@pytest.mark.parametrize("yaw", [0.0, 90.0, -135.0, 400.0])
def test_the_axes_are_a_right_angled_camera(yaw, pitch):
    axes = np.stack(view_axes(yaw, pitch))
    assert np.allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    # Forward, right and up turn as Minecraft's do: yaw 0 looks along +z with -x to the right.
    assert np.allclose(np.cross(axes[1], axes[2]), -axes[0])
    assert np.allclose(axes[0, 1], -np.sin(np.radians(pitch)))


def test_right_is_where_a_turn_to_the_right_looks():
    assert np.allclose(view_axes(90.0, 0.0)[0], view_axes(0.0, 0.0)[1])
    assert np.allclose(view_axes(0.0, 90.0)[0], -view_axes(0.0, 0.0)[2])


def test_places_project_back_to_their_own_pixels():
    rng = np.random.default_rng(0)
    depth = rng.integers(1, 65536, (18, 32)).astype(np.uint16)
    depth[0, :5] = 0  # sky
    pose = np.array([3.0, -40.0, 900.0, 123.0, -41.0], np.float32)
    row, column, away = project(unproject(depth, pose, FOV), pose, depth.shape, FOV)
    assert np.array_equal(row, np.mgrid[0:18, 0:32][0])
    assert np.array_equal(column, np.mgrid[0:18, 0:32][1])
    assert np.allclose(away[depth > 0], 16384 / depth[depth > 0].astype(float))


def test_unprojected_pixels_lie_on_the_walls():
    """The room's walls are known planes: depth and axes give them back to a centimetre."""
    pose = np.array([1.0, 1.6, -2.0, 33.0, 12.0])
    _, metres = ray_cast(pose, (40, 60))
    depth = (16384 / metres).round().astype(np.uint16)
    places = unproject(depth, pose.astype(np.float32), FOV)
    walls = np.stack([places - [-6, 0, -6], places - [6, 4, 6]])
    assert np.abs(walls).min((0, -1)).max() < 0.01


def test_what_is_near_hides_what_is_far():
    frame = np.zeros((1, 3, 3), np.uint8)
    frame[0] = [[10] * 3, [200] * 3, [30] * 3]
    depth = np.array([[16384, 4096, 16384]], np.uint16)  # the middle pixel is four times as far
    at, to = np.zeros(5, np.float32), np.zeros(5, np.float32)
    to[0] = -2 / 3 / (0.5 / np.tan(np.radians(36)))  # the near pixels shift by two thirds
    picture, covered = splat(frame, depth, at, to, FOV)
    # The right one moves from column 2 to 1, where the far one stays; the left one leaves.
    assert picture[0, 1].tolist() == [30, 30, 30]
    assert covered.tolist() == [[False, True, False]]


def test_the_law_holds_in_the_room(make_room):
    clip = make_room(12, size=(112, 192))
    assert np.median(agreement(clip.frames, clip.depth, clip.pose, FOV)) > 30


def test_standing_still_agrees_perfectly(make_room):
    clip = make_room(2)
    frames, depth, pose = (
        np.repeat(part[:1], 2, 0) for part in (clip.frames, clip.depth, clip.pose)
    )
    assert agreement(frames, depth, pose, FOV)[0] > 70


def test_check_reports_and_passes(tmp_path, make_room, capsys):
    write_clip(tmp_path, jerky(make_room), KeysAndMouse())
    assert main(["check", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "depth and pose: a frame seen from the next pose agrees to" in text
    assert "lowest: room" in text and "returns: " in text and "eye: x from" in text
    value = check_source(open_source(tmp_path)).agreement["room"]
    assert value > 24


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: {"pose": c.pose * np.float32([1, 1, 1, -1, 1])}, "dB only"),
        (lambda c: {"depth": np.roll(c.depth, 12, 0), "pose": c.pose[::-1].copy()}, "dB only"),
        (lambda c: {"pose": np.roll(c.pose, 1, 0)}, "pose"),
        (lambda c: {"pose": np.roll(c.pose, -1, 0)}, "pose"),
    ],
)
def test_check_finds_poses_that_do_not_fit(tmp_path, make_room, change, sentence):
    clip = jerky(make_room)
    write_clip(tmp_path, dataclasses.replace(clip, **change(clip)), KeysAndMouse())
    problems = check_source(open_source(tmp_path)).problems
    assert len(problems) == 1 and "room.depth.mkv" in problems[0] and sentence in problems[0]


def test_small_turns_one_frame_late_are_told_by_the_neighbours(tmp_path, make_room):
    """One frame late costs few dB when the view turns little: the neighbour's pose fits better."""
    clip = jerky(make_room)
    pose = clip.pose.copy()
    pose[:, 3] = 20 + (pose[:, 3] - 20) / 12
    size = clip.depth.shape[1:]
    frames, depth = zip(*(room_frame(one.astype(float), size, 2) for one in pose), strict=True)
    late = np.concatenate([pose[:1], pose[:-1]])
    clip = dataclasses.replace(clip, frames=np.stack(frames), depth=np.stack(depth), pose=late)
    write_clip(tmp_path, clip, KeysAndMouse())
    (problem,) = check_source(open_source(tmp_path)).problems
    assert "the next frame's pose agrees better" in problem


def test_check_names_a_pose_that_is_not_finite_and_a_short_depth_file(tmp_path, make_room):
    for name in ("a", "b"):
        write_clip(tmp_path, dataclasses.replace(make_room(8), name=name), KeysAndMouse())
    path = tmp_path / "a.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[4]["eye"][0] = None
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_clip(tmp_path / "short", make_room(5), KeysAndMouse())
    (tmp_path / "short" / "room.depth.mkv").replace(tmp_path / "b.depth.mkv")
    found = check_source(open_source(tmp_path)).problems
    assert len(found) == 2
    assert "a.jsonl:4: the pose" in found[0] and "5 depth pictures for 8 frames" in found[1]


def test_a_clip_that_never_moves_cannot_be_judged(tmp_path, make_room, capsys):
    clip = make_room(4)
    still = {key: np.repeat(getattr(clip, key)[:1], 4, 0) for key in ("frames", "depth", "pose")}
    write_clip(tmp_path, dataclasses.replace(clip, **still), KeysAndMouse())
    assert main(["check", str(tmp_path)]) == 0
    assert "none moves, nothing to compare" in capsys.readouterr().out
