"""Start clips: read once, in the world's size, and no file stays open."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nfd_gym.runtime.resize import resize_depth
from nfd_gym.runtime.starts import starts_of
from nfd_gym.world import World, WorldError, load_world
from tests.camera import CameraWorld, camera_clip


def test_no_video_stays_open_and_the_clips_are_shared(tiny_world_path: Path) -> None:
    world = load_world(tiny_world_path)
    before = os.listdir("/proc/self/fd")
    starts = starts_of(world)
    for index in range(len(starts)):
        starts.clip(index)
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert starts_of(world) is starts and starts.clip(0) is starts.clip(0)


def test_a_start_is_the_tail_of_its_clip_with_depth_and_poses(camera_world: World) -> None:
    start, clip = starts_of(camera_world).clip(1), camera_clip(1)
    tail = camera_world.denoiser.config.window + 1
    assert clip.depth is not None and clip.pose is not None
    assert (start.frames == clip.frames[-tail:]).all()
    assert (start.depth == clip.depth[-tail:]).all() and (start.poses == clip.pose[-tail:]).all()


def test_a_clip_without_depth_is_refused_in_a_world_with_it(
    camera_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = replace(camera_world)
    flat = replace(camera_clip(0), depth=None)
    source = camera_world.starts()
    source.read = lambda index, start, stop: flat
    monkeypatch.setattr(CameraWorld, "starts", lambda self: source)
    with pytest.raises(WorldError, match="has no depth; export the world again"):
        starts_of(world).clip(0)


def test_depth_is_resized_without_inventing_surfaces() -> None:
    rng = np.random.default_rng(0)
    depth = rng.integers(0, 65535, (2, 12, 20), dtype=np.uint16)
    small = resize_depth(depth, (10, 6))
    assert small.shape == (2, 6, 10) and set(small.ravel()) <= set(depth.ravel())
    assert resize_depth(depth, (20, 12)) is depth
