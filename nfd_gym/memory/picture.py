"""Small repairs of a projected picture: pinholes between surfels, filling of what is unknown."""

import torch
import torch.nn.functional as F
from torch import Tensor

from nfd_gym.memory.compiled_surfels import pinholes

BEHIND = 1.15  # a pixel this much farther than both its neighbours shows through a gap


def close_pinholes(colour: Tensor, depth: Tensor, sharp: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One-pixel gaps of colour (3,H,W), depth (H,W), sharp (H,W), closed from both sides."""
    if pinholes is None or depth.device.type != "cpu":
        return _close_pinholes_batched(colour, depth, sharp)
    colour = colour.clone(memory_format=torch.contiguous_format)
    depth, sharp = depth.clone(), sharp.clone()
    pinholes(colour.numpy(), depth.numpy(), sharp.numpy(), BEHIND)
    return colour, depth, sharp


def _close_pinholes_batched(
    colour: Tensor, depth: Tensor, sharp: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """`close_pinholes` in plain torch."""
    for dim in (-1, -2):
        before, after = torch.roll(depth, 1, dim), torch.roll(depth, -1, dim)
        far = torch.maximum(before, after)
        alike = far < 1.1 * torch.minimum(before, after)
        gap = alike & (depth > BEHIND * far)
        if dim == -1:
            gap[:, 0] = gap[:, -1] = False
        else:
            gap[0] = gap[-1] = False
        mean = 0.5 * (torch.roll(colour, 1, dim) + torch.roll(colour, -1, dim))
        colour = torch.where(gap, mean, colour)
        least = torch.minimum(torch.roll(sharp, 1, dim), torch.roll(sharp, -1, dim))
        sharp = torch.where(gap, least, sharp)
        depth = torch.where(gap, 2.0 / (1.0 / before + 1.0 / after), depth)
    return colour, depth, sharp


def fill_unknown(
    colour: Tensor, nearness: Tensor, unknown: Tensor, keep: Tensor
) -> tuple[Tensor, Tensor]:
    """Colour (3,H,W) and nearness (H,W) with unknown pixels (H,W) filled smoothly from around
    them (pull-push); `keep` (H,W) keeps its nearness."""
    if not bool(unknown.any()):
        return colour, nearness
    weight = (~unknown).float()[None, None]
    values = torch.cat([colour, nearness[None]])[None] * weight
    levels = [(values, weight)]
    while min(levels[-1][0].shape[-2:]) > 4:
        values, weight = (F.avg_pool2d(x, 2, ceil_mode=True) for x in levels[-1])
        levels.append((values, weight))
    values, weight = levels[-1]
    mean = values.sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp_min(1e-6)
    filled = torch.where(weight > 0, values / weight.clamp_min(1e-6), mean)
    for values, weight in reversed(levels[:-1]):
        up = F.interpolate(filled, values.shape[-2:], mode="bilinear", align_corners=False)
        share = weight.clamp(0, 1)
        filled = (
            values + (1 - share) * up
            if weight is levels[0][1]
            else torch.where(weight > 0, values / weight.clamp_min(1e-6), up)
        )
    out = filled[0]
    near = torch.where(keep, nearness, out[3])
    return out[:3], torch.where(unknown, near, nearness)


def slivers(unknown: Tensor) -> Tensor:
    """Unknown pixels (H,W) that no 3x3 square of unknown pixels covers: thinner than a detail that
    could be drawn there."""
    wide = F.pad(unknown.float()[None, None], (1, 1, 1, 1), value=1.0)
    core = -F.max_pool2d(-wide, 3, 1)
    return unknown & ~(F.max_pool2d(core, 3, 1, 1)[0, 0] > 0)
