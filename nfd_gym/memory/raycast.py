"""Ray casting through a grid of unit cells with empty-space skipping.

`space` (X,Y,Z) uint8 tells of every cell how large a free box is centred on it: r + 16 s for a box
that reaches r - 1 cells to the sides and s - 1 up and down; solid cells have 0. A ray crosses that
box in one jump. A cell with the index i covers [low + i - 0.5, low + i + 0.5).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nfd_gym.memory.compiled import walk

FARTHEST = 15  # cells that a box reaches at most
JUMPS = 400  # after which a ray is given up
LOW_ROOM = 2  # boxes up to this high give way to wide ones of one layer: rays graze the ground


class Hits(NamedTuple):
    """Where rays end. Those that leave the grid have the depth inf and the cell -1."""

    depth: Tensor  # (N,) in lengths of the ray
    cell: Tensor  # (N,) long, index in the flattened grid
    facing: Tensor  # (N,) long, the side that was hit: 0..5 = -x, +x, -y, +y, -z, +z


def cast(
    space: Tensor, low: Tensor, eye: Tensor, rays: Tensor, begin: Tensor | None = None
) -> Hits:
    """First solid cells along rays (N,3) from an eye (3,), from lengths `begin` (N,) on; the cell
    that a ray begins in does not count."""
    count, device = len(rays), rays.device
    hits = Hits(
        torch.full((count,), torch.inf, device=device),
        torch.full((count,), -1, dtype=torch.long, device=device),
        torch.zeros(count, dtype=torch.long, device=device),
    )
    if walk is not None and device.type == "cpu":
        first = torch.zeros(count) if begin is None else begin
        arrays = (rays.contiguous(), first.contiguous(), *hits)
        walk(
            space.contiguous().numpy(), (eye - low + 0.5).numpy(), *(a.numpy() for a in arrays),
            JUMPS,
        )  # fmt: skip
        return hits
    return _cast_batched(space, low, eye, rays, begin, hits)


def _cast_batched(
    space: Tensor, low: Tensor, eye: Tensor, rays: Tensor, begin: Tensor | None, hits: Hits
) -> Hits:
    """`cast` in plain torch: all rays jump together, finished ones are put aside."""
    count, device = len(rays), rays.device
    _, height, length = space.shape
    flat = space.flatten()
    size = torch.tensor(space.shape, device=device, dtype=torch.float32)[:, None]
    start = (eye - low + 0.5)[:, None]
    ray = rays.t()
    ray = torch.where(ray.abs() < 1e-7, 1e-7, ray)
    inverse = 1.0 / ray
    begin = _entry(start, inverse, size, begin)
    number = begin.isfinite().nonzero()[:, 0]
    # one table of all that a ray carries, so that finished rays are put aside at once
    table = torch.cat([ray, inverse, -start * inverse, (ray > 0).float()])
    if len(number) < count:
        table, begin = table.index_select(1, number), begin.index_select(0, number)
    cell = torch.addcmul(start, table[:3], begin).floor()
    cell = torch.minimum(cell.clamp_min(0), size - 1)
    table = torch.cat([table, cell, begin[None]])
    axis = torch.zeros_like(number)
    reach = torch.empty(3, count, device=device)
    for jump in range(JUMPS):
        if not len(number):
            break
        ray, inverse, offset, ahead, cell = table[:15].view(5, 3, -1)
        index = ((cell[0] * height + cell[1]) * length + cell[2]).long()
        packed = flat.index_select(0, index)
        if jump == 0:  # an eye within a block looks out of it
            packed = torch.where(packed == 0, 17, packed)
        reach = reach[:, : len(number)]
        reach[0] = packed & 15
        reach[1] = packed >> 4
        reach[2] = reach[0]
        # the far sides of the free box: cell + reach ahead, cell + 1 - reach behind
        border = torch.where(ahead > 0, cell + reach, cell + 1 - reach)
        leave, next_axis = torch.addcmul(offset, border, inverse).min(0)
        point = torch.addcmul(start, ray, leave).floor()
        through = (border - 1 + ahead).gather(0, next_axis[None])
        point.scatter_(0, next_axis[None], through)
        hit = packed == 0
        on = ((point >= 0) & (point < size)).all(0) & ~hit
        if bool(hit.any()):
            rows = hit.nonzero()[:, 0]
            place, side = number.index_select(0, rows), axis.index_select(0, rows)
            toward = ahead.index_select(1, rows).gather(0, side[None])[0].long()
            hits.depth[place] = table[15].index_select(0, rows)
            hits.cell[place] = index.index_select(0, rows)
            hits.facing[place] = 2 * side + 1 - toward
        table[12:15], table[15], axis = point, leave, next_axis
        rest = on.nonzero()[:, 0]
        if len(rest) < len(number):
            table = table.index_select(1, rest)
            number, axis = number.index_select(0, rest), axis.index_select(0, rest)
    return hits


def _entry(start: Tensor, inverse: Tensor, size: Tensor, begin: Tensor | None) -> Tensor:
    """Lengths (N,), at least `begin`, at which rays from a start (3,1) are in the grid; inf for
    those that miss it."""
    near, far = -start * inverse, (size - start) * inverse
    enter = torch.minimum(near, far).amax(0).clamp_min(0.0)
    if begin is not None:
        enter = torch.maximum(enter, begin)
    leave = torch.maximum(near, far).amin(0)
    return torch.where(enter < leave, enter, torch.inf)


def free_space(solid: Tensor) -> Tensor:
    """The boxes (X,Y,Z) uint8 of a grid of solid cells (X,Y,Z) bool: cubes, and where those would
    be low, wide ones of a single layer."""
    cube, layer = _distance(solid, (0, 1, 2)), _distance(solid, (0, 2))
    wide = (cube <= LOW_ROOM) & (layer > 2 * cube)
    r, s = torch.where(wide, layer, cube), torch.where(wide, cube.clamp_max(1), cube)
    return torch.where(solid, 0, r + 16 * s).to(torch.uint8)


def _distance(solid: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Chebyshev distances (X,Y,Z) long along some axes to the nearest solid cell, <= FARTHEST."""
    reached = solid.float()[None, None]
    out = (~solid).long()
    for _ in range(FARTHEST - 1):
        for axis in axes:  # a cube is the product of three lines
            kernel = [1, 1, 1]
            kernel[axis] = 3
            reached = F.max_pool3d(reached, kernel, 1, [k // 2 for k in kernel])
        out += reached[0, 0] == 0
    return out


def with_solid(space: Tensor, place: Tensor) -> Tensor:
    """Boxes (X,Y,Z) after the cell with the index (3,) became solid."""
    shape = torch.tensor(space.shape, device=place.device)
    low = (place - FARTHEST).clamp_min(0).tolist()
    high = torch.minimum(place + FARTHEST + 1, shape).tolist()
    x, y, z = (
        (torch.arange(a, b, device=place.device) - c).abs()
        for a, b, c in zip(low, high, place.tolist(), strict=True)
    )
    aside = torch.maximum(x[:, None, None], z[None, None, :])
    above = y[None, :, None]
    out = space.clone()
    part = out[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    r, s = (part & 15).long(), (part >> 4).long()
    away = torch.maximum(aside, above)
    inside = (aside < r) & (above < s)
    shrunk = torch.minimum(r, away) + 16 * torch.minimum(s, away)
    part.copy_(torch.where(inside, shrunk, r + 16 * s).to(torch.uint8))
    return out


def without_solid(space: Tensor, place: Tensor) -> Tensor:
    """Boxes (X,Y,Z) after the cell with the index (3,) became free: itself only, which is safe."""
    out = space.clone()
    out[tuple(place.tolist())] = 17
    return out
