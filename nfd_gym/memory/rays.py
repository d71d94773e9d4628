"""Rays of tokens as waves: where each token's ray starts and points, as sines and cosines."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nfd_gym.memory.geometry import axes

ORIGIN_BANDS, DIRECTION_BANDS = 8, 5
EXTENT = 64.0  # metres of half a wave of the slowest band
WIDTH = 3 * 2 * ORIGIN_BANDS + 3 * 2 * DIRECTION_BANDS + 3


def ray_waves(pose: Tensor, tokens_h: int, tokens_w: int, fov_y: float) -> Tensor:
    """Poses (B,5) -> (B,N,WIDTH): waves of the ray's origin and direction, and the direction."""
    eye, forward, right, up = axes(pose)
    focal = 0.5 * tokens_h / math.tan(math.radians(fov_y) / 2)  # in tokens
    xs = (torch.arange(tokens_w, device=pose.device) + 0.5 - tokens_w / 2) / focal
    ys = (torch.arange(tokens_h, device=pose.device) + 0.5 - tokens_h / 2) / focal
    aim = (
        forward[:, None, None]
        + xs[None, None, :, None] * right[:, None, None]
        - ys[None, :, None, None] * up[:, None, None]
    )
    aim = F.normalize(aim, dim=-1).flatten(1, 2)
    origin = _waves(eye / EXTENT, ORIGIN_BANDS)[:, None].expand(-1, aim.shape[1], -1)
    return torch.cat([origin, _waves(aim, DIRECTION_BANDS), aim], dim=-1)


def _waves(x: Tensor, bands: int) -> Tensor:
    """(..., 3) -> (..., 6 * bands) sines and cosines of doubling frequency."""
    frequency = math.pi / 2 * 2.0 ** torch.arange(bands, device=x.device)
    phase = (x[..., None] * frequency).flatten(-2)
    return torch.cat([phase.sin(), phase.cos()], dim=-1)
