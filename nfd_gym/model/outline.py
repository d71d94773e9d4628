"""Outline of a thing made of boxes: where a disc and the four walls of a table touch it.

All lengths are in pixels. A touch has a gap (negative: one is inside the other), a normal that
points away from the thing in its own axes, and the normal's lever about the thing's middle.
"""

import torch
from torch import Tensor, nn

from nfd_gym.shapes import Box, hull

SIDES = ((-1.0, 0.0), (0.0, -1.0), (1.0, 0.0), (0.0, 1.0))  # of a box: left, top, right, bottom


class Outline(nn.Module):
    """Boxes in the thing's own axes, and walls `walls` = (low, high) across and along."""

    low: Tensor  # (n,2)
    high: Tensor  # (n,2)
    corners: Tensor  # (h,2)
    middle: Tensor  # (2,)
    sides: Tensor  # (4,2)

    def __init__(
        self, boxes: tuple[Box, ...], middle: Tensor, radius: float, walls: tuple[float, float]
    ) -> None:
        super().__init__()
        self.radius, self.walls = radius, walls
        corners = torch.tensor(boxes)
        for name, values in (
            ("low", corners[:, :2]), ("high", corners[:, 2:]), ("middle", middle),
            ("corners", torch.tensor(hull(boxes))), ("sides", torch.tensor(SIDES)),
        ):  # fmt: skip
            self.register_buffer(name, values.float(), persistent=False)
        self.reach = float((self.corners - self.middle).norm(dim=1).max())

    def disc(self, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Gaps (...,n), normals (...,n,2) and levers (...,n) of the player's disc to each box, at
        places (...,2) in the thing's axes."""
        place = place[..., None, :]
        nearest = torch.minimum(torch.maximum(place, self.low), self.high)
        away = place - nearest
        far = away.square().sum(-1, keepdim=True).clamp_min(1e-6).sqrt()
        beyond = torch.cat([self.low - place, place - self.high], -1)  # (...,n,4) of each side
        depth, side = beyond.max(-1, keepdim=True)
        inside = depth <= 0
        normal = torch.where(inside, self.sides[side[..., 0]], away / far)
        gap = torch.where(inside, depth, far)[..., 0] - self.radius
        return gap, normal, cross(nearest - self.middle, normal)

    def wall(self, place: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
        """Gaps and levers (...,4,2) of the two corners that are nearest to each wall, of a thing at
        places (...,2) and angles (...,)."""
        low, high = self.walls
        at = turned(self.corners, angle[..., None]) + place[..., None, :]
        gaps = torch.cat([at - low, high - at], -1).transpose(-1, -2)  # (...,4,h)
        nearest, corner = gaps.topk(2, largest=False)
        normal = turned(self.sides, -angle[..., None])  # (...,4,2) towards the wall, own axes
        arm = (self.corners - self.middle)[corner]
        return nearest, cross(arm, normal[..., None, :])


def turned(way: Tensor, angle: Tensor) -> Tensor:
    """Vectors (...,2) turned by angles (...,) in radians, from right towards down."""
    cos, sin = angle.cos(), angle.sin()
    x, y = way[..., 0], way[..., 1]
    return torch.stack([cos * x - sin * y, sin * x + cos * y], -1)


def cross(arm: Tensor, force: Tensor) -> Tensor:
    return arm[..., 0] * force[..., 1] - arm[..., 1] * force[..., 0]
