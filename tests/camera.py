"""A small world with a camera: a memory that turns its last picture, a body that turns and edits.

The smallest things that keep the protocols of nfd_gym.memory and nfd_gym.world.step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nfd_gym.actions import KeysAndMouse
from nfd_gym.data.clip import Clip
from nfd_gym.keyboard import KEY_INDEX
from nfd_gym.memory import Edit, View
from nfd_gym.model.body import Move
from nfd_gym.model.pixels import to_float
from nfd_gym.world import World, kinds

KEYS = {name: KEY_INDEX[name] for name in ("forward", "attack", "use")}


class Seen(NamedTuple):
    """The last picture with its depth, where it was taken, and the last edit."""

    colour: Tensor  # uint8 (B,H,W,3)
    nearness: Tensor  # (B,H,W)
    yaw: Tensor  # (B,)
    edit: Tensor  # (B,) long


@dataclass(frozen=True)
class TurningMemory:
    """A picture is one pixel a degree wide; what turned into view is unknown."""

    atlas: Tensor | None = None
    kind = "turning"
    edits = 2

    def start(self, frames: Tensor, nearness: Tensor, poses: Tensor) -> Seen:
        return self.write(None, None, frames[:, -1], nearness[:, -1], poses[:, -1])

    def edit(self, state: Seen, edit: Edit | None) -> Seen:
        return state if edit is None else state._replace(edit=edit.kind)

    def read(self, state: Seen, frame: Tensor, pose: Tensor) -> View:
        b, height, width, _ = frame.shape
        turned = (pose[:, 3] - state.yaw).round().long()  # to the right
        columns = torch.arange(width)[None] + turned[:, None]
        known = ((columns >= 0) & (columns < width)).float()
        index = columns.clamp(0, width - 1)[:, None, :].expand(-1, height, -1)
        colour = to_float(state.colour).gather(3, index[:, None].expand(-1, 3, -1, -1))
        nearness = state.nearness.gather(2, index)[:, None]
        edited = torch.zeros(b, self.edits, height, width)
        for env, kind in enumerate(state.edit.tolist()):
            if kind:
                edited[env, kind - 1, height // 2 :, width // 2 :] = 1.0
        sharp = known[:, None, None].expand(-1, 1, height, -1)
        return View(colour * sharp, nearness * sharp, sharp, edited, 1 - sharp)

    def write(self, state: Any, view: Any, frame: Tensor, nearness: Tensor, pose: Tensor) -> Seen:
        return Seen(frame, nearness, pose[:, 3], torch.zeros(len(frame), dtype=torch.long))

    def map(self, state: Seen, pose: Tensor) -> np.ndarray:
        return state.colour.numpy()

    def config(self) -> dict[str, Any]:
        return {}

    def tensors(self) -> dict[str, Tensor]:
        return {} if self.atlas is None else {"atlas": self.atlas}

    @classmethod
    def build(
        cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor], code: Any
    ) -> "TurningMemory":
        return cls(**config, **tensors)


@dataclass(frozen=True)
class TurningBody:
    """Turns by ten degrees a unit, walks a quarter of a metre with inertia, digs and places."""

    kind = "turning"
    width, pose_width = 2, 5
    reads = False
    edits = ("dig", "place brick")

    def read(self, frames: Tensor, actions: Tensor) -> Tensor:
        raise AssertionError("poses are given")

    def move(self, memory: Any, state: Any, action: Tensor, noise: Tensor | None = None) -> Move:
        yaw = state.pose[:, 3] + 10 * action[:, -1]
        pitch = (state.pose[:, 4] + 10 * action[:, -2]).clamp(-90, 90)
        speed = 0.5 * state.motion[:, 0] + 0.25 * action[:, KEYS["forward"]]
        turned = torch.deg2rad(yaw)
        x = state.pose[:, 0] - turned.sin() * speed
        z = state.pose[:, 2] + turned.cos() * speed
        pose = torch.stack([x, state.pose[:, 1], z, yaw, pitch], dim=-1)
        kind = (action[:, KEYS["attack"]] > 0.5).long()
        kind = torch.where((action[:, KEYS["use"]] > 0.5) & (kind == 0), 2, kind)
        cell = torch.stack([x, state.pose[:, 1], z + 1], dim=-1).floor().long()
        control = torch.stack([speed, torch.deg2rad(pitch)], dim=-1)
        return Move(pose, speed[:, None], control, Edit(kind, cell))

    def start(self, poses: Tensor, actions: Tensor) -> Tensor:
        if poses.shape[1] < 2:
            return poses.new_zeros(len(poses), 1)
        return (poses[:, -1, [0, 2]] - poses[:, -2, [0, 2]]).norm(dim=-1, keepdim=True)

    def config(self) -> dict[str, Any]:
        return {}

    def tensors(self) -> dict[str, Tensor]:
        return {}

    @classmethod
    def build(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "TurningBody":
        return cls(**config)


kinds.MEMORIES["turning"] = ("tests.camera", "TurningMemory")
kinds.BODIES["turning"] = ("tests.camera", "TurningBody")


def camera_clip(seed: int, frames: int = 9) -> Clip:
    """Frames, depth and poses that a turn to the right could have made."""
    rng = np.random.default_rng(seed)
    wall = np.kron(rng.integers(0, 256, (4, 30, 3)), np.ones((8, 4, 1))).astype(np.uint8)
    codec = KeysAndMouse()
    yaw = 3.0 * np.arange(frames)
    pictures = np.stack([wall[:, int(turn) : int(turn) + 48] for turn in yaw])
    actions = np.stack([codec.vector(["forward"], 0.0, 3.0 if i else 0.0) for i in range(frames)])
    depth = (2000 + 8 * pictures[..., 0].astype(np.uint16)).astype(np.uint16)
    pose = np.zeros((frames, 5), np.float32)
    pose[:, 1], pose[:, 2], pose[:, 3] = 1.6, 0.2 * np.arange(frames), yaw
    return Clip(pictures, actions, depth=depth, pose=pose, name=f"turn-{seed}")


class CameraWorld(World):
    """With start clips in memory."""

    def starts(self) -> Any:
        clips = [camera_clip(seed) for seed in range(3)]
        return SimpleNamespace(
            names=[clip.name for clip in clips],
            lengths=[len(clip) for clip in clips],
            read=lambda index, start, stop: _cut(clips[index], start, stop),
        )


def _cut(clip: Clip, start: int, stop: int) -> Clip:
    part = slice(start, stop)
    return Clip(clip.frames[part], clip.actions[part], depth=clip.depth[part], pose=clip.pose[part])
