"""The floor of a place of which nothing was filmed: it goes on at the height of the feet.

Squares that a net painted are too rough to stand on, and without any ground the eye would fall.
"""

import torch
from torch import Tensor

from nfd_gym.model.contact import Box

NOWHERE = -(10**6)  # height of the floor of those who have none


def floor_under(poses: Tensor) -> Tensor:
    """Height (B,) of the cells that eyes stand on at the first of poses (B,T,5)."""
    if not poses.shape[1]:
        return torch.full(poses.shape[:1], NOWHERE, dtype=torch.long, device=poses.device)
    return torch.round(poses[:, 0, 1] - Box().eye - 0.5).long()


def below_floor(space: Tensor, floor: Tensor, cells: Tensor, index: Tensor) -> Tensor:
    """Which cells (B,K,3), at `index` (B,K) of the flattened grid, lie in or under the floor (B,)
    and in columns of the space (B,X,Y,Z) in which no block is known."""
    _, _, height, depth = space.shape
    bare = (space > 0).all(2).flatten(1)
    column = torch.div(index, height * depth, rounding_mode="floor") * depth + index % depth
    return bare.gather(1, column) & (cells[..., 1] <= floor[:, None])
