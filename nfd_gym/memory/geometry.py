"""Pinhole geometry in Minecraft's axes: poses, rays, projection. Pure functions.

pose = (x, y, z of the eye, yaw, pitch), metres and degrees; y is up, yaw 0 looks along +z and grows
to the right, pitch grows downwards. Depth is planar (along the optical axis); nearness = 1 / depth,
0 = infinitely far. Pixel (i, j) has its centre at (i + 0.5, j + 0.5).
"""

import math

import torch
from torch import Tensor


def axes(pose: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Poses (...,5) -> eye, forward, right, up, each (...,3)."""
    yaw, pitch = torch.deg2rad(pose[..., 3]), torch.deg2rad(pose[..., 4])
    cy, sy, cp, sp = yaw.cos(), yaw.sin(), pitch.cos(), pitch.sin()
    forward = torch.stack([-sy * cp, -sp, cy * cp], dim=-1)
    right = torch.stack([-cy, torch.zeros_like(cy), -sy], dim=-1)
    up = torch.stack([-sy * sp, cp, cy * sp], dim=-1)
    return pose[..., :3], forward, right, up


def focal_length(height: int, fov_y: float) -> float:
    """Focal length in pixels of a picture `height` pixels high."""
    return 0.5 * height / math.tan(math.radians(fov_y) / 2)


def pixel_rays(pose: Tensor, height: int, width: int, fov_y: float) -> Tensor:
    """Poses (B,5) -> (B,H,W,3) rays through the pixel centres, 1 long along the optical axis."""
    _, forward, right, up = axes(pose)
    focal = focal_length(height, fov_y)
    xs = (torch.arange(width, device=pose.device) + 0.5 - width / 2) / focal
    ys = (torch.arange(height, device=pose.device) + 0.5 - height / 2) / focal
    return (
        forward[:, None, None]
        + xs[None, None, :, None] * right[:, None, None]
        - ys[None, :, None, None] * up[:, None, None]
    )


def unproject(pose: Tensor, depth: Tensor, fov_y: float) -> Tensor:
    """Points (B,H,W,3) seen at planar depth (B,H,W)."""
    rays = pixel_rays(pose, depth.shape[1], depth.shape[2], fov_y)
    return pose[:, None, None, :3] + depth[..., None] * rays


def project(
    points: Tensor, pose: Tensor, height: int, width: int, fov_y: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Points (B,N,3) at poses (B,5) -> column, row (in pixels, real) and planar depth, (B,N)."""
    eye, forward, right, up = axes(pose)
    camera = torch.stack([right, -up, forward], dim=-1)  # (B,3,3)
    local = (points - eye[:, None]) @ camera
    depth = local[..., 2]
    safe = torch.where(depth.abs() < 1e-6, torch.full_like(depth, 1e-6), depth)
    focal = focal_length(height, fov_y)
    return (
        local[..., 0] / safe * focal + width / 2,
        local[..., 1] / safe * focal + height / 2,
        depth,
    )
