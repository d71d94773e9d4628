"""Textures of faces as a game samples them: the nearest texel of the mip level of the footprint,
at the middles of a pixel's four quarters."""

from typing import NamedTuple

import torch
from torch import Tensor

from nfd_gym.memory.atlas import INPLANE, SIDES
from nfd_gym.memory.geometry import axes, focal_length

QUARTERS = torch.tensor(
    [[-0.25, -0.25], [0.25, -0.25], [-0.25, 0.25], [0.25, 0.25]]
)  # (right,down)


class Sample(NamedTuple):
    """Where on their faces pixels lie."""

    place: Tensor  # (Q,N,2) 0..1 along a face's two axes, for each of Q parts of a pixel
    level: Tensor  # (N,) long, 0..4


def sample_places(
    pose: Tensor, rays: Tensor, depth: Tensor, facing: Tensor, height: int, fov_y: float,
    parts: Tensor = QUARTERS,
) -> Sample:  # fmt: skip
    """Texture coordinates of pixels whose rays (N,3) hit faces (N,) of the lattice at depth (N,);
    `parts` (Q,2) are places in the pixel, in pixels from its middle."""
    eye, _, right, up = axes(pose)
    pixel = 1 / focal_length(height, fov_y)
    axis = torch.div(facing, 2, rounding_mode="floor")
    both = torch.from_numpy(INPLANE).to(axis.device).index_select(0, axis)
    across = rays.gather(1, axis[:, None])
    along = rays.gather(1, both)
    slope = along / torch.where(across.abs() < 1e-7, 1e-7, across)
    point = torch.addcmul(eye.expand(len(rays), 3).gather(1, both), depth[:, None], along) + 0.5
    place = point - point.floor()
    changes = []
    for step in (right * pixel, -up * pixel):  # a pixel to the right, a pixel down
        turned = step.expand(len(rays), 3)
        flat = turned.gather(1, both) - slope * turned.gather(1, axis[:, None])
        changes.append(flat * depth[:, None])
    a, b = changes
    widest = torch.maximum(a.square().sum(1), b.square().sum(1))
    level = 0.5 * torch.log2((widest * (SIDES[0] / 2) ** 2).clamp_min(1e-6))  # of a quarter
    level = (level + 0.5).floor().clamp(0, len(SIDES) - 1).long()
    shift = parts.to(place.device)
    places = torch.stack([place + x * a + y * b for x, y in shift.tolist()])
    return Sample(places.clamp(0.0, 1.0), level)


def texel_index(rows: Tensor, sample: Sample, count: int) -> Tensor:
    """Index (Q,N) into `mip_maps` of `count` textures, for texture rows (N,)."""
    sides = torch.tensor(SIDES, device=rows.device)
    starts = torch.cumsum(count * sides**2, 0) - count * sides**2
    side = sides.index_select(0, sample.level)
    texel = torch.minimum((sample.place * side[:, None]).long(), (side - 1)[:, None])
    first = starts.index_select(0, sample.level) + rows * side * side
    return first + texel[..., 0] * side + texel[..., 1]


def whole_texels(sample: Sample) -> tuple[Tensor, Tensor, Tensor]:
    """The finest level (N,) from the sample's on at which all parts of a pixel lie in one texel,
    and that texel's two numbers (N,)."""
    level, best = sample.level, torch.full_like(sample.level, len(SIDES) - 1)
    a, b = torch.zeros_like(best), torch.zeros_like(best)
    for number in reversed(range(len(SIDES) - 1)):
        texel = (sample.place * SIDES[number]).long().clamp_max(SIDES[number] - 1)
        one = (texel == texel[:1]).all(0).all(-1) & (level <= number)
        best = torch.where(one, number, best)
        a, b = torch.where(one, texel[0, :, 0], a), torch.where(one, texel[0, :, 1], b)
    return best, a, b
