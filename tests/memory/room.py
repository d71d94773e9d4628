"""The ray-cast block room as a filmed memory: its walls on the planes k + 0.5 of the lattice."""

import functools

import numpy as np
import torch

from nfd_gym.memory.atlas import Atlas
from nfd_gym.memory.filming import Filming
from nfd_gym.memory.points import PointMemory
from tests.data.box_room import FOV, room_frame

SIZE = (56, 96)
SHIFT = np.array([0.5, 0.5, 0.5, 0.0, 0.0])
EYE = np.array([0.0, 1.6, 0.0])


def pose_at(x: float, z: float, yaw: float, pitch: float) -> np.ndarray:
    """A pose in the room, in the lattice's coordinates."""
    return np.array([x, 1.6, z, yaw, pitch]) + SHIFT


def seen_from(pose: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(frame (1,H,W,3), nearness (1,H,W), pose (1,5)) of the room."""
    frame, depth = room_frame(pose - SHIFT, SIZE)
    near = torch.from_numpy(depth.astype(np.float32) / 16384)
    return (
        torch.from_numpy(frame)[None],
        near[None],
        torch.from_numpy(pose.astype(np.float32))[None],
    )


@functools.cache
def filmed() -> PointMemory:
    """A memory filmed from a turn at each of nine places."""
    filming = Filming((-16, -8, -16), (16, 16, 16), FOV)
    for x in (-3.0, 0.0, 3.0):
        for z in (-3.0, 0.0, 3.0):
            for yaw in range(0, 360, 45):
                for pitch in (-25.0, 30.0):
                    frame, near, pose = seen_from(pose_at(x, z, yaw, pitch))
                    filming.add(frame[0].numpy(), near[0].numpy(), pose[0].numpy())
    return PointMemory(
        *SIZE, FOV, Atlas(filming.faces()), torch.from_numpy(filming.sky()), painted=4096
    )


def psnr(view_colour: torch.Tensor, frame: torch.Tensor) -> float:
    """Of a view (1,3,H,W) in [-1,1] against a frame (1,H,W,3)."""
    error = (view_colour + 1) * 127.5 - frame.permute(0, 3, 1, 2).float()
    return float(10 * torch.log10(255**2 / error.square().mean()))
