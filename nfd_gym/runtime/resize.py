"""Pictures of another size: area-averaged when smaller, which is what a real camera does."""

import torch
import torch.nn.functional as F
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
