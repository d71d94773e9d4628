"""The crosshair, taken off before a net looks and put on again after it has drawn.

It stays where it is while the world turns: left in, every turn leaves a copy that a rollout keeps,
and a net that has learned to hold it still holds the sky around it too. It is white and lets some
of the picture through, so it can be taken off.
"""

import torch
from torch import Tensor

from nfd_gym.model.pixels import to_float, to_uint8

OPACITY = 0.45  # measured in Luanti 5.6 at 192x112; one end is half a pixel short
LAST = 0.22


def with_cross(pixels: Tensor, arm: int) -> Tensor:
    """(...,3,H,W) in [-1, 1] with a crosshair whose lines reach `arm` pixels; 0 is none."""
    if not arm:
        return pixels
    hidden = opacity(pixels, arm)
    return pixels * (1 - hidden) + hidden


def without_cross(pixels: Tensor, arm: int) -> Tensor:
    """What `with_cross` was given."""
    if not arm:
        return pixels
    hidden = opacity(pixels, arm)
    return ((pixels - hidden) / (1 - hidden)).clamp(-1.0, 1.0)


def uncrossed(frames: Tensor, arm: int) -> Tensor:
    """What `without_cross` leaves of frames uint8 (...,H,W,3), in bytes (...,3,H,W). Only a few
    pixels differ from the frame, and only they are reckoned."""
    pixels = frames.movedim(-1, -3).clone(memory_format=torch.contiguous_format)
    if arm:
        height, width = pixels.shape[-2:]
        rows, columns = (slice(max(0, n // 2 - arm - 1), n // 2 + arm + 1) for n in (height, width))
        bare = without_cross(to_float(frames[..., rows, columns, :]), arm)
        pixels[..., rows, columns] = to_uint8(bare).movedim(-1, -3)
    return pixels


def opacity(pixels: Tensor, arm: int) -> Tensor:
    """(H,W) how much of `pixels` the crosshair hides: twice where its lines cross."""
    height, width = pixels.shape[-2:]
    rows = torch.arange(height, device=pixels.device)[:, None] - height // 2
    columns = torch.arange(width, device=pixels.device) - width // 2
    upright = _line(rows, arm) * (columns == 0)
    level = _line(columns, arm) * (rows == 0)
    return 1 - (1 - upright) * (1 - level)


def _line(places: Tensor, arm: int) -> Tensor:
    inside = (places >= -arm) & (places < arm)
    return OPACITY * inside + LAST * (places == arm)
