"""What a session accepts: clips and actions of the right shapes, or one sentence."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nfd_gym.errors import UsageError
from nfd_gym.world import World

DEPTH_UNITS = 16384.0  # of uint16 inverse planar depth in 1/m


class Clips(NamedTuple):
    """Clips of B environments, as numpy arrays."""

    frames: NDArray[np.uint8]  # (B,T,H,W,3)
    depth: NDArray[np.uint16]  # (B,T,H,W); (B,T,0,0) in worlds without depth
    poses: NDArray[np.float32]  # (B,T,P); (B,T,0) where the body reads them from the frames
    actions: NDArray[np.float32]  # (B,T,A)


def checked_clips(
    world: World, num_envs: int, frames: ArrayLike, actions: ArrayLike,
    depth: ArrayLike | None, poses: ArrayLike | None,
) -> Clips:  # fmt: skip
    """Clips that fit the world and the number of environments."""
    width, height = world.size
    pictures = np.asarray(frames)
    if pictures.dtype != np.uint8 or pictures.ndim != 5 or pictures.shape[1] < 1:
        raise UsageError(
            f"frames must be uint8 (B, T >= 1, H, W, 3), got {pictures.dtype} {pictures.shape}."
        )
    if (len(pictures), *pictures.shape[2:]) != (num_envs, height, width, 3):
        raise UsageError(
            f"frames must hold {num_envs} environments of {height}x{width}x3 pixels, got shape "
            f"{pictures.shape}; resize them to the world's size."
        )
    clip = pictures.shape[:2]
    vectors = _floats("actions", actions, (*clip, world.codec.width))
    places = np.zeros((*clip, 0), np.float32)
    if world.needs_poses:
        places = _floats("poses", poses, (*clip, world.pose_width))
    planes = np.zeros((*clip, 0, 0), np.uint16)
    if world.has_depth:
        planes = np.asarray(depth)
        if planes.dtype != np.uint16 or planes.shape != (*clip, height, width):
            raise UsageError(
                f"depth must be uint16 {(*clip, height, width)} (inverse depth, 16384 = 1 per "
                f"metre), got {planes.dtype} {planes.shape}."
            )
    return Clips(pictures, planes, places, vectors)


def to_tensors(
    clips: Clips, envs: NDArray[np.int64], tail: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The last `tail` frames of `envs` as frames, nearness in 1/m, poses, actions."""
    frames, depth, poses, actions = (np.ascontiguousarray(part[envs, -tail:]) for part in clips)
    nearness = depth.astype(np.float32) / DEPTH_UNITS
    parts = [torch.from_numpy(part).to(device) for part in (frames, nearness, poses, actions)]
    return parts[0], parts[1], parts[2], parts[3]


def checked_actions(world: World, num_envs: int, actions: ArrayLike) -> NDArray[np.float32]:
    """Action vectors (B,A); -0.0 and 0.0 are one action."""
    vectors = _floats("actions", actions, (num_envs, world.codec.width))
    return np.ascontiguousarray(vectors) + np.float32(0.0)


def depth_units(nearness: Tensor) -> NDArray[np.uint16]:
    """Nearness in 1/m as uint16 inverse depth."""
    scaled = (nearness * DEPTH_UNITS).round().clamp(0, 65535)
    return scaled.cpu().numpy().astype(np.uint16)


def _floats(name: str, values: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if values is None:
        raise UsageError(f"{name} must be given: {shape} finite numbers.")
    array = np.asarray(values, np.float32)
    if array.shape != shape:
        raise UsageError(f"{name} must have shape {shape}, got {array.shape}.")
    if not np.isfinite(array).all():
        raise UsageError(f"{name} must be finite numbers, got {array.tolist()}.")
    return array
