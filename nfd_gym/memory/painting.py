"""The ring of painted squares: what is appended to it, and what an edit carves out of it."""

import torch
from torch import Tensor

from nfd_gym.memory.geometry import project
from nfd_gym.memory.surfels import Surfels


def append(painted: Surfels, head: Tensor, env: int, new: Surfels) -> None:
    """Puts squares (N,) into one environment's ring (B,P,...), the oldest fall out.

    Side effect: changes `painted` and `head` (B,).
    """
    room = painted.size.shape[1]
    count = min(len(new.size), room)
    slots = (int(head[env]) + torch.arange(count, device=head.device)) % room
    for part, value in zip(painted, new, strict=True):
        part[env][slots] = value[:count]
    head[env] = (head[env] + count) % room


def carve(
    painted: Surfels, env: int, opened: Tensor, nearness: Tensor, pose: Tensor, fov_y: float
) -> None:
    """Removes squares in front of what a picture with inverse depth (H,W) from a pose (5,) shows
    in the region `opened` (H,W).

    Side effect: changes `painted`.
    """
    height, width = nearness.shape
    column, row, depth = project(painted.position[env][None], pose[None], height, width, fov_y)
    x, y = column[0].floor().long(), row[0].floor().long()
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (depth[0] > 0)
    x, y = x.clamp(0, width - 1), y.clamp(0, height - 1)
    shown = 1.0 / nearness[y, x].clamp_min(1e-6)
    painted.size[env][inside & opened[y, x] & (depth[0] < 0.97 * shown - 0.03)] = 0.0
