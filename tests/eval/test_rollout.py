"""Stretches of recordings: what is context, what is horizon, which action made which frame."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.data.clip import Clip
from nfd_gym.eval.baselines import mean_frame, persistence
from nfd_gym.eval.rollout import by_kind, cut, kinds, roll, stack
from nfd_gym.keyboard import KEY_INDEX, PITCH, YAW
from nfd_gym.runtime.session import Session
from nfd_gym.world import World
from tests.camera import camera_clip

CODEC = KeysAndMouse(camera=Camera(72.0))


def counting_clip(name: str, frames: int, start: int = 0) -> Clip:
    """Frame i is filled with the number start + i; action i carries it too."""
    numbers = np.arange(start, start + frames)
    pictures = np.broadcast_to(numbers[:, None, None, None], (frames, 4, 6, 3)).astype(np.uint8)
    actions = np.zeros((frames, CODEC.width), np.float32)
    actions[:, 0] = numbers
    poses = np.repeat(numbers[:, None], 5, axis=1).astype(np.float32)
    depth = np.ascontiguousarray(pictures[..., 0]).astype(np.uint16)
    return Clip(pictures.copy(), actions, name=name, depth=depth, pose=poses)


@dataclass
class Recordings:
    clips: list[Clip]
    codec: KeysAndMouse = CODEC
    fps: float = 20.0
    size: tuple[int, int] = (4, 6)
    names: list[str] = field(default_factory=list)

    @property
    def lengths(self) -> list[int]:
        return [len(clip) for clip in self.clips]

    def read(self, index: int, start: int = 0, stop: int | None = None) -> Clip:
        clip = self.clips[index]
        part = slice(start, stop)
        assert clip.pose is not None and clip.depth is not None
        more = {"depth": clip.depth[part], "pose": clip.pose[part]}
        return Clip(clip.frames[part], clip.actions[part], name=clip.name, **more)


class Adder:
    """A dream that adds its action's first entry to the last frame: any misalignment is a wrong
    number."""

    def reset(self, frames, actions, depth, poses, seeds):
        self.now = frames[:, -1].copy()
        assert (depth == frames[..., 0]).all() and (poses[..., 0] == depth[..., 0, 0]).all()
        self.seeds = seeds
        return self.now

    def step(self, actions):
        self.now = (self.now + actions[:, 0, None, None, None]).astype(np.uint8)
        return self.now


SOURCE = Recordings([counting_clip("a", 30), counting_clip("b", 9), counting_clip("c", 40, 100)])


def test_cut_spreads_over_all_recordings_that_are_long_enough() -> None:
    excerpt = cut(SOURCE, 12, 4, 8)
    assert excerpt.frames.shape == (12, 12, 4, 6, 3) and excerpt.horizon == 8
    assert set(excerpt.names) == {"a", "c"}
    again = cut(SOURCE, 12, 4, 8)
    np.testing.assert_array_equal(excerpt.frames, again.frames)
    steps = np.diff(excerpt.frames[:, :, 0, 0, 0].astype(int), axis=1)
    assert (steps == 1).all(), "a stretch must be contiguous frames of one recording"


def test_cut_says_when_nothing_is_long_enough() -> None:
    with pytest.raises(ValueError, match="No recording holds 100 frames"):
        cut(SOURCE, 2, 50, 50)


def test_roll_gives_each_frame_the_action_that_produced_it() -> None:
    """Frame n follows n - 1 by action n; with actions of 1 the Adder reproduces the recording."""
    excerpt = cut(SOURCE, 5, 4, 8)
    ones = excerpt.actions.copy()
    ones[..., 0] = 1
    told = replace(excerpt, actions=ones)
    np.testing.assert_array_equal(roll(Adder(), told), excerpt.real)


def test_batches_do_not_change_a_rollout() -> None:
    excerpt = cut(SOURCE, 5, 4, 3)
    parts = [roll(Adder(), part) for part in excerpt.batches(2)]
    np.testing.assert_array_equal(np.concatenate(parts), roll(Adder(), excerpt))


def test_a_session_is_a_dream(camera_world: World) -> None:
    clips = [camera_clip(seed) for seed in range(2)]
    session = Session(camera_world, num_envs=2, engine="eager")
    excerpt = stack(clips, 5)
    assert roll(session, excerpt).shape == excerpt.real.shape


def test_each_gives_every_horizon_frame_its_own_context() -> None:
    excerpt = cut(SOURCE, 3, 4, 5)
    alone = excerpt.each(2)
    assert alone.frames.shape[:2] == (15, 3)
    np.testing.assert_array_equal(alone.real[:, 0], excerpt.real.reshape(15, 4, 6, 3))
    numbers = alone.frames[:, :, 0, 0, 0].astype(int)
    assert (np.diff(numbers, axis=1) == 1).all()
    assert alone.names == tuple(name for name in excerpt.names for _ in range(5))
    with pytest.raises(ValueError, match="context"):
        excerpt.each(5)


def test_stack_refuses_unequal_lengths() -> None:
    with pytest.raises(ValueError, match="one length"):
        stack([counting_clip("a", 5), counting_clip("b", 6)], 2)


def test_baselines_repeat_and_average() -> None:
    excerpt = cut(SOURCE, 2, 4, 3)
    np.testing.assert_array_equal(
        persistence(excerpt), np.repeat(excerpt.frames[:, 3:4], 3, axis=1)
    )
    flat = np.stack([np.full((2, 2, 3), value, np.uint8) for value in (10, 20, 60)])
    np.testing.assert_array_equal(mean_frame(flat), np.full((2, 2, 3), 30))


def test_kinds_of_actions() -> None:
    actions = np.zeros((5, CODEC.width), np.float32)
    actions[1, KEY_INDEX["forward"]] = 1
    actions[2, YAW] = 0.5
    actions[3, [KEY_INDEX["left"], PITCH]] = 1, -0.5
    actions[4, KEY_INDEX["attack"]] = 1  # digging is standing
    masks = kinds(actions, CODEC)
    expected = {
        "all": [1, 1, 1, 1, 1],
        "camera": [0, 0, 1, 1, 0],
        "camera+walking": [0, 0, 0, 1, 0],
        "camera+standing": [0, 0, 1, 0, 0],
        "walking": [0, 1, 0, 0, 0],
        "standing": [1, 0, 0, 0, 1],
    }
    assert {name: mask.astype(int).tolist() for name, mask in masks.items()} == expected
    means = by_kind(np.arange(5.0), masks)
    assert means["standing"] == 2.0 and means["camera"] == 2.5
