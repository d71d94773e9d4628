"""Surfels: oriented coloured squares, and the z-buffer that draws them.

A surfel lies in an axis-aligned plane (facing 0..5 = -x, +x, -y, +y, -z, +z) or faces the camera
(facing 6). Squares larger than a pixel are intersected with every ray they may cover, so close
surfaces have no holes and exact depth; smaller ones fall into one pixel and are averaged there.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nfd_gym.memory import compiled_surfels
from nfd_gym.memory.geometry import axes, focal_length

ANY = 6  # facing of a square that always faces the camera
NEAR = 0.05  # metres; what is closer is not drawn
LARGEST = 40  # pixels; wider squares are drawn this wide
SLANT = 1.45  # a square lying on its corner is so much wider
SAME_DEPTH, SAME_DEPTH_M = 1.01, 0.02  # what lies this close behind the front is averaged with it


class Surfels(NamedTuple):
    position: Tensor  # (N,3) float32, centres in metres
    facing: Tensor  # (N,) uint8
    size: Tensor  # (N,) float32, edge in metres; 0 = removed
    colour: Tensor  # (N,3) uint8


class Drawn(NamedTuple):
    colour: Tensor  # (H,W,3) float32, 0..255
    depth: Tensor  # (H,W) planar metres, inf where nothing is
    width: Tensor  # (H,W) pixels that the front surfel spans; 0 where nothing is
    owner: Tensor  # (H,W) long, the front surfel; -1 where nothing is


def draw(surfels: Surfels, pose: Tensor, height: int, width: int, fov_y: float) -> Drawn:
    """Surfels (N,) seen from one pose (5,)."""
    if compiled_surfels.draw is None or pose.device.type != "cpu":
        return _draw_batched(surfels, pose, height, width, fov_y)
    drawn = _nothing(height, width, pose.device)
    if len(surfels.size):
        tensors = (*(part.contiguous() for part in surfels), torch.stack(axes(pose)))
        compiled_surfels.draw(
            *(tensor.numpy() for tensor in tensors), np.float32(focal_length(height, fov_y)),
            _BOUNDS, _WINDOWS, _BEHIND, *(part.numpy() for part in drawn),
        )  # fmt: skip
    return drawn


def _draw_batched(surfels: Surfels, pose: Tensor, height: int, width: int, fov_y: float) -> Drawn:
    """`draw` in plain torch."""
    if not len(surfels.size):
        return _nothing(height, width, pose.device)
    eye, forward, right, up = axes(pose)
    focal = focal_length(height, fov_y)
    offset = surfels.position - eye
    local = offset @ torch.stack([right * focal, -up * focal, forward], dim=-1)
    z = local[:, 2]
    inverse = 1.0 / z
    column = torch.addcmul(local.new_tensor(width / 2), local[:, 0], inverse)
    row = torch.addcmul(local.new_tensor(height / 2), local[:, 1], inverse)
    span = (surfels.size * focal * inverse).clamp_max(LARGEST)
    margin = span * 0.5 + 1
    shown = (z > NEAR) & (surfels.size > 0)
    shown &= (column + margin > 0) & (column - margin < width)
    shown &= (row + margin > 0) & (row - margin < height)
    index = shown.nonzero()[:, 0]
    if not len(index):
        return _nothing(height, width, pose.device)
    column, row, z, span = (x.index_select(0, index) for x in (column, row, z, span))
    cells = [_small(column, row, z, index, span, height, width)]
    rays = _ray_table(forward, right, up, height, width, focal, pose.device)
    for low, high in _SPANS:
        chosen = ((span > low) & (span <= high)).nonzero()[:, 0]
        if len(chosen):
            owners = index.index_select(0, chosen)
            squares = Surfels(*(field.index_select(0, owners) for field in surfels))
            x, y, depth = (v.index_select(0, chosen) for v in (column, row, z))
            side = math.ceil(SLANT * high) + 1
            cells.append(_large(squares, owners, x, y, depth, eye, rays, side, height, width))
    pixel, depth, owner = (torch.cat(part) for part in zip(*cells, strict=True))
    return _resolve(surfels, pixel, depth, owner, focal, height, width)


SMALL = 1.1  # pixels; squares up to this fall into one pixel and still leave no holes
_WINDOWS = np.array([SMALL, 2.0, 4.0, 7.0, 12.0, 20.0, LARGEST], np.float32)  # spans in one size
_SPANS = tuple(itertools.pairwise(_WINDOWS.tolist()))
_BOUNDS = np.array([NEAR, LARGEST, SLANT], np.float32)
_BEHIND = np.array([SAME_DEPTH, SAME_DEPTH_M], np.float32)


def _small(
    column: Tensor, row: Tensor, z: Tensor, index: Tensor, span: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Pixel, depth and owner of squares that fall into one pixel."""
    inside = (span <= SMALL) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    chosen = inside.nonzero()[:, 0]
    x = column.index_select(0, chosen).int()
    y = row.index_select(0, chosen).int()
    pixel = (y * width + x).long()
    return pixel, z.index_select(0, chosen), index.index_select(0, chosen)


def _large(
    squares: Surfels, owners: Tensor, column: Tensor, row: Tensor, z: Tensor, eye: Tensor,
    rays: Tensor, side: int, height: int, width: int,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Candidates side x side pixels around each centre, kept where the ray hits the square."""
    steps = torch.arange(side, device=column.device, dtype=torch.int32)
    x = (column - (side - 1) / 2).floor().int()[:, None] + steps
    y = (row - (side - 1) / 2).floor().int()[:, None] + steps
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None, :]
    pixel = (y[:, :, None] * width + x[:, None, :]).flatten()
    chosen = inside.flatten().nonzero()[:, 0]
    pixel = pixel.index_select(0, chosen).long()
    which = torch.div(chosen, side * side, rounding_mode="floor")
    # per square: the axes across (u, v) and along (w) its plane; a camera-facing one has depth z
    offset = squares.position - eye
    axis = (squares.facing.long() // 2).clamp_max(2)
    across = _ACROSS.to(axis.device)[axis]
    table = torch.stack(
        [
            offset.gather(1, axis[:, None])[:, 0],
            offset.gather(1, across[:, :1])[:, 0],
            offset.gather(1, across[:, 1:])[:, 0],
            squares.size * 0.5001 + 1e-4,
        ]
    )
    along, u, v, half = table.index_select(1, which)
    code = axis.index_select(0, which)
    ray = rays.index_select(0, code * (height * width) + pixel)
    depth = along / ray[:, 0]
    if bool((squares.facing == ANY).any()):
        depth = torch.where((squares.facing == ANY)[which], z[which], depth)
    hit = ((ray[:, 1] * depth - u).abs() <= half) & ((ray[:, 2] * depth - v).abs() <= half)
    kept = (hit & (depth > NEAR)).nonzero()[:, 0]
    return (
        pixel.index_select(0, kept),
        depth.index_select(0, kept),
        owners.index_select(0, which.index_select(0, kept)),
    )


_ACROSS = torch.tensor([[1, 2], [0, 2], [0, 1]])


def _resolve(
    surfels: Surfels, pixel: Tensor, depth: Tensor, owner: Tensor, focal: float, height: int,
    width: int,
) -> Drawn:  # fmt: skip
    count = height * width
    # positive floats sort like their bits: nearest first, of equal depths the finest, then by index
    fine = (torch.log2(surfels.size.clamp_min(2.0**-8)) + 8).clamp(0, 15).long()
    key = (depth.view(torch.int32).long() << 32) | ((fine << 28).index_select(0, owner)) | owner
    front = torch.full((count,), torch.iinfo(torch.int64).max, device=pixel.device)
    front.scatter_reduce_(0, pixel, key, "amin")
    empty = front == torch.iinfo(torch.int64).max
    nearest = (front >> 32).to(torch.int32).view(torch.float32)
    nearest = torch.where(empty, torch.inf, nearest)
    index = torch.where(empty, -1, front & 0xFFFFFFF)
    same = depth <= nearest.index_select(0, pixel) * SAME_DEPTH + SAME_DEPTH_M
    chosen = same.nonzero()[:, 0]
    pixel, owner = pixel.index_select(0, chosen), owner.index_select(0, chosen)
    colours = torch.zeros(count, 4, device=pixel.device)
    weight = (16.0 * surfels.size.index_select(0, owner)).clamp_min(1e-3)[:, None] ** -3
    colours.index_add_(
        0, pixel, torch.cat([surfels.colour.index_select(0, owner) * weight, weight], 1)
    )
    colour = colours[:, :3] / colours[:, 3:].clamp_min(1e-12)
    wide = surfels.size[index.clamp_min(0)] / nearest * focal
    return Drawn(
        colour.view(height, width, 3),
        nearest.view(height, width),
        torch.where(empty, 0.0, wide).view(height, width),
        index.view(height, width),
    )


def _ray_table(
    forward: Tensor, right: Tensor, up: Tensor, height: int, width: int, focal: float,
    device: torch.device,
) -> Tensor:  # fmt: skip
    """Rays (3*H*W,3) through the pixel centres, 1 long along the optical axis: three tables, whose
    first component is x, y or z and whose others are the two remaining ones."""
    xs = (torch.arange(width, device=device) + 0.5 - width / 2) / focal
    ys = (torch.arange(height, device=device) + 0.5 - height / 2) / focal
    grid = (forward + xs[None, :, None] * right - ys[:, None, None] * up).reshape(-1, 3)
    return torch.cat([grid, grid[:, [1, 0, 2]], grid[:, [2, 0, 1]]])


def _nothing(height: int, width: int, device: torch.device) -> Drawn:
    blank = torch.zeros(height, width, device=device)
    index = torch.full((height, width), -1, dtype=torch.long, device=device)
    return Drawn(torch.zeros(height, width, 3, device=device), blank + torch.inf, blank, index)
