"""Blocks of the lattice: entering and pointing at them, painting and removing their surfels."""

import torch
from torch import Tensor

from nfd_gym.memory.geometry import axes, pixel_rays
from nfd_gym.memory.surfels import ANY, Surfels

SNAP, SNAP_SHARE = 0.15, 0.03  # metres and share of the depth within which lattice planes attract


def pixel_surfels(
    frame: Tensor,
    nearness: Tensor,
    pose: Tensor,
    rays: Tensor,
    chosen: Tensor,
    focal: float,
) -> Surfels:
    """Pixels `chosen` (H,W) as surfels, on the lattice plane next to their depth if near."""
    ray, colour = rays[chosen], frame[chosen]
    depth = 1.0 / nearness[chosen].clamp_min(1e-6)
    eye = pose[:3]
    point = eye + depth[:, None] * ray
    plane = torch.floor(point) + 0.5
    reach = (plane - eye) / torch.where(ray.abs() < 1e-6, torch.full_like(ray, 1e-6), ray)
    off = (reach - depth[:, None]).abs()
    error, axis = off.min(dim=1)
    snaps = error < SNAP + SNAP_SHARE * depth
    along = reach.gather(1, axis[:, None])[:, 0]
    depth = torch.where(snaps, along, depth)
    toward = ray.gather(1, axis[:, None])[:, 0] < 0
    facing = torch.where(snaps, 2 * axis + toward.long(), torch.full_like(axis, ANY))
    cosine = ray.gather(1, axis[:, None])[:, 0].abs() / ray.norm(dim=1)
    stretch = torch.where(snaps, cosine.clamp_min(0.1) ** -0.5, torch.ones_like(depth))
    size = (depth / focal * stretch).clamp_min(1 / 16)
    return Surfels(eye + depth[:, None] * ray, facing.to(torch.uint8), size, colour)


def remove_cell(painted: Surfels, cell: Tensor) -> Surfels:
    """Painted surfels (P,) less those in a cell or on its sides."""
    inside = (painted.position - cell).abs().amax(-1) < 0.51
    return painted._replace(size=torch.where(inside, 0.0, painted.size))


def cube_entry(rays: Tensor, pose: Tensor, cell: Tensor) -> Tensor:
    """Depth (H,W) at which rays (H,W,3) from a pose enter a cell's unit cube; inf: they miss."""
    ray = torch.where(rays.abs() < 1e-6, torch.full_like(rays, 1e-6), rays)
    a = (cell - 0.5 - pose[:3]) / ray
    b = (cell + 0.5 - pose[:3]) / ray
    enter, leave = torch.minimum(a, b).amax(-1), torch.maximum(a, b).amin(-1)
    return torch.where((enter < leave) & (enter > 0.02), enter, torch.inf)


def shown_cell(nearness: Tensor, pose: Tensor, cell: Tensor, fov_y: float) -> tuple[Tensor, Tensor]:
    """Pixels (H,W) of a picture with inverse depth (H,W) in which a cell is not hidden, and the
    depth at which their rays enter it."""
    height, width = nearness.shape
    rays = pixel_rays(pose[None], height, width, fov_y)[0]
    enter = cube_entry(rays, pose, cell)
    front = torch.where(nearness > 0, 1.0 / nearness.clamp_min(1e-6), torch.inf)
    return enter.isfinite() & (enter < front + 0.05), enter


def pointed_cell(nearness: Tensor, pose: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The block under the middle of pictures (B,H,W): its distance in metres (B,), its cell (B,3),
    and the free cell before it."""
    height, width = nearness.shape[1:]
    near = nearness[:, height // 2 - 1 : height // 2 + 1, width // 2 - 1 : width // 2 + 1]
    # the middle lies between four pixels: inverse depth is linear across a plane; at an edge the
    # nearer side counts
    near = near.flatten(1).sort(dim=1).values
    edge = near[:, 3] > 1.3 * near[:, 0] + 0.02
    depth = 1.0 / torch.where(edge, near[:, 2:].mean(1), near.mean(1)).clamp_min(1e-6)
    eye, forward, _, _ = axes(pose)
    hit = eye + depth[:, None] * forward
    plane = torch.floor(hit) + 0.5
    axis = (plane - eye) / torch.where(forward.abs() < 1e-6, 1e-6, forward) - depth[:, None]
    axis = axis.abs().argmin(1, keepdim=True)
    normal = torch.zeros_like(hit).scatter(1, axis, -forward.gather(1, axis).sign())
    exact = hit.scatter(1, axis, plane.gather(1, axis))
    inner = torch.round(exact - 0.25 * normal).long()
    outer = torch.round(exact + 0.25 * normal).long()
    return depth.clamp_max(1000.0), inner, outer


def front_sides(surfels: Surfels, pose: Tensor) -> Surfels:
    """Those whose front side shows."""
    axis = (surfels.facing.long() // 2).clamp_max(2)
    along = (surfels.position - pose[:3]).gather(1, axis[:, None])[:, 0]
    away = torch.where(surfels.facing % 2 == 1, along, -along)
    chosen = ((away < 0) | (surfels.facing == ANY)).nonzero()[:, 0]
    return Surfels(*(field.index_select(0, chosen) for field in surfels))
