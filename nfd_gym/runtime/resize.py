"""Pictures of another size: area-averaged when smaller, which is what a real camera does."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

MOST_SUMMED = 128  # pixels of a block whose sum fits into 16 bits


def resize(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 (..., H, W, 3) -> uint8 (..., height, width, 3) for size (width, height)."""
    width, height = size
    if frames.shape[-3:-1] == (height, width):
        return frames
    (down, odd_down), (right, odd_right) = (
        divmod(frames.shape[-3], height),
        divmod(frames.shape[-2], width),
    )
    if not odd_down and not odd_right and down * right <= MOST_SUMMED:
        return _shrunk(frames, down, right)
    pixels = frames.reshape(-1, *frames.shape[-3:]).movedim(-1, 1).to(torch.float32)
    small = F.interpolate(pixels, (height, width), mode="area")
    whole = small.round().clamp(0, 255).to(torch.uint8).movedim(1, -1)
    return whole.reshape(*frames.shape[:-3], height, width, 3).contiguous()


def _shrunk(frames: Tensor, down: int, right: int) -> Tensor:
    """uint8 (..., H, W, 3), every block of `down` x `right` pixels averaged: five times as fast."""
    wide = frames.to(torch.int16)
    rows = sum((wide[..., i::down, :, :] for i in range(1, down)), wide[..., ::down, :, :])
    sums = sum((rows[..., i::right, :] for i in range(1, right)), rows[..., ::right, :])
    return (sums.to(torch.float32) / (down * right)).round().to(torch.uint8)


def resize_depth(depth: NDArray[np.uint16], size: tuple[int, int]) -> NDArray[np.uint16]:
    """Depth (T, H, W) at size (width, height) by the nearest pixel: a mean over an edge would be a
    surface that is not there."""
    (width, height), (_, old_height, old_width) = size, depth.shape
    if (old_height, old_width) == (height, width):
        return depth
    rows = ((np.arange(height) + 0.5) * old_height / height).astype(int)
    columns = ((np.arange(width) + 0.5) * old_width / width).astype(int)
    return np.ascontiguousarray(depth[:, rows][:, :, columns])
