"""Pictures of another size: area-averaged when smaller, which is what a real camera does."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def resize(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 (..., H, W, 3) -> uint8 (..., height, width, 3) for size (width, height)."""
    width, height = size
    if frames.shape[-3:-1] == (height, width):
        return frames
    pixels = frames.reshape(-1, *frames.shape[-3:]).movedim(-1, 1).to(torch.float32)
    small = F.interpolate(pixels, (height, width), mode="area")
    whole = small.round().clamp(0, 255).to(torch.uint8).movedim(1, -1)
    return whole.reshape(*frames.shape[:-3], height, width, 3).contiguous()


def resize_depth(depth: NDArray[np.uint16], size: tuple[int, int]) -> NDArray[np.uint16]:
    """Depth (T, H, W) at size (width, height) by the nearest pixel: a mean over an edge would be a
    surface that is not there."""
    (width, height), (_, old_height, old_width) = size, depth.shape
    if (old_height, old_width) == (height, width):
        return depth
    rows = ((np.arange(height) + 0.5) * old_height / height).astype(int)
    columns = ((np.arange(width) + 0.5) * old_width / width).astype(int)
    return np.ascontiguousarray(depth[:, rows][:, :, columns])
