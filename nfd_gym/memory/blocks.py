"""Blocks of the lattice and their surfels: entering, pointing at, removing and painting them."""

import torch
from torch import Tensor

from nfd_gym.memory.atlas import owner_cell
from nfd_gym.memory.geometry import axes
from nfd_gym.memory.surfels import ANY, Surfels

SNAP, SNAP_SHARE = 0.15, 0.03  # metres and share of the depth within which lattice planes attract
SHELL = 4  # squares along a face of a placed block that was not seen yet


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


def remove_cell(painted: Surfels, env: int, cell: Tensor) -> None:
    """Frees the painted surfels of a cell's own faces, and camera-facing ones inside it."""
    position, facing = painted.position[env], painted.facing[env]
    near = ((position - cell).abs().amax(-1) < 0.51) & (painted.size[env] > 0)
    rows = near.nonzero()[:, 0]
    own = (owner_cell(position[rows], facing[rows]) == cell).all(-1) | (facing[rows] == ANY)
    painted.size[env][rows[own]] = 0.0


def cube_entry(rays: Tensor, pose: Tensor, cell: Tensor) -> Tensor:
    """Depth (H,W) at which rays (H,W,3) from a pose enter a cell's unit cube; inf: they miss."""
    ray = torch.where(rays.abs() < 1e-6, torch.full_like(rays, 1e-6), rays)
    a = (cell - 0.5 - pose[:3]) / ray
    b = (cell + 0.5 - pose[:3]) / ray
    enter, leave = torch.minimum(a, b).amax(-1), torch.maximum(a, b).amin(-1)
    return torch.where((enter < leave) & (enter > 0.02), enter, torch.inf)


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


def with_shell(new: Surfels, cell: Tensor) -> Surfels:
    """Adds coarse squares of the mean colour on all faces of a placed block: its unseen sides hide
    what is behind them until they are painted."""
    on_it = (new.position - cell).abs().amax(1) < 0.51
    if not bool(on_it.any()):
        return new
    mean = new.colour[on_it].float().mean(0).round().to(torch.uint8)
    middle = (torch.arange(SHELL, device=cell.device) + 0.5) / SHELL - 0.5
    u, v = torch.meshgrid(middle, middle, indexing="ij")
    parts, facings = [], []
    for facing in range(6):
        axis, sign = facing // 2, 1.0 if facing % 2 else -1.0
        face = torch.stack([u.flatten(), v.flatten()], dim=1)
        columns = [c for c in range(3) if c != axis]
        points = torch.full((SHELL * SHELL, 3), 0.5 * sign, device=cell.device)
        points[:, columns] = face
        parts.append(points + cell)
        facings.append(torch.full((SHELL * SHELL,), facing, device=cell.device))
    position = torch.cat(parts).to(torch.float32)
    count = len(position)
    shell = Surfels(
        position,
        torch.cat(facings).to(torch.uint8),
        torch.full((count,), 1.0 / SHELL, device=cell.device),
        mean.expand(count, 3),
    )
    return Surfels(*(torch.cat(pair) for pair in zip(shell, new, strict=True)))
