"""The one conversion between public frames (uint8, channels last) and what the networks see."""

import torch
from torch import Tensor


def to_float(frames: Tensor) -> Tensor:
    """uint8 (..., H, W, 3) -> float32 (..., 3, H, W) in [-1, 1]."""
    return frames.movedim(-1, -3).to(torch.float32) * (2.0 / 255.0) - 1.0


def to_uint8(pixels: Tensor) -> Tensor:
    """float (..., 3, H, W) in [-1, 1] -> uint8 (..., H, W, 3), rounded; inverts `to_float`."""
    scaled = (pixels.float() + 1.0) * 127.5
    return scaled.round().clamp(0, 255).to(torch.uint8).movedim(-3, -1).contiguous()
