"""What a world must beat: pictures that need no learning at all."""

import numpy as np
import torch

from nfd_gym.actions import ActionCodec, KeysAndMouse
from nfd_gym.eval.rollout import Excerpt, Floats, Frames
from nfd_gym.model.pixels import to_float, to_uint8
from nfd_gym.model.warp import warp


def persistence(excerpt: Excerpt) -> Frames:
    """The last context frame, for ever (B, horizon, H, W, 3)."""
    return np.repeat(excerpt.last[:, None], excerpt.horizon, axis=1)


def warped(excerpt: Excerpt, codec: ActionCodec) -> Frames | None:
    """The last context frame seen after all rotations commanded since, or None without a camera.

    Resampled once from the total rotation, so it does not blur with the horizon.
    """
    if not isinstance(codec, KeysAndMouse) or codec.camera is None or excerpt.pitch is None:
        return None
    dpitch, dyaw = codec.rotation(excerpt.actions[:, excerpt.context :])
    pitch = excerpt.pitch[:, excerpt.context - 1]
    return warp_frames(
        np.repeat(excerpt.last[:, None], excerpt.horizon, axis=1),
        # The view stops at straight up and straight down.
        np.clip(pitch[:, None] + np.cumsum(dpitch, axis=1), -90, 90) - pitch[:, None],
        np.cumsum(dyaw, axis=1),
        np.repeat(pitch[:, None], excerpt.horizon, axis=1),
        codec.camera.fov_y,
    )


def warp_frames(
    frames: Frames, dpitch: Floats, dyaw: Floats, pitch: Floats, fov_y: float
) -> Frames:
    """Frames (..., H, W, 3) as seen after rotations (...) in degrees from view pitches (...)."""
    flat = frames.reshape(-1, *frames.shape[-3:])
    down, right, view = (
        torch.from_numpy(np.ascontiguousarray(turn, np.float32)).reshape(-1)
        for turn in (dpitch, dyaw, pitch)
    )
    out = []
    for part in torch.arange(len(flat)).split(64):
        pixels = to_float(torch.from_numpy(flat[part.numpy()]))
        turned = warp(pixels, down[part], right[part], view[part], fov_y)
        out.append(to_uint8(turned).numpy())
    return np.concatenate(out).reshape(frames.shape)


def mean_frame(frames: Frames) -> Frames:
    """The average picture of (..., H, W, 3)."""
    return np.asarray(np.rint(frames.reshape(-1, *frames.shape[-3:]).mean(axis=0)), np.uint8)
