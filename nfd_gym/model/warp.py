"""What the last frame looks like after the commanded camera rotation.

A pure rotation moves the picture by a homography whatever the depth, so turning is right before
any training. Axes of the camera: x right, y down, z forward; pitch grows downwards, yaw to the
right.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from nfd_gym.model.hand import from_behind

AGAIN = 72.0  # degrees; 90 would look where games show the hand


def focal_length(height: int, fov_y: float) -> float:
    """Focal length in pixels of a picture `height` pixels high that spans `fov_y` degrees."""
    return height / 2 / math.tan(math.radians(fov_y) / 2)


def rotation(dpitch: Tensor, dyaw: Tensor, pitch: Tensor) -> Tensor:
    """(B,3,3) from new camera rays to old ones: Rp(pitch)^-1 Ry(dyaw) Rp(pitch + dpitch)."""
    return _pitch(pitch).transpose(1, 2) @ _yaw(dyaw) @ _pitch(pitch + dpitch)


def warp(
    pixels: Tensor,
    dpitch: Tensor,
    dyaw: Tensor,
    pitch: Tensor,
    fov_y: float,
    mode: str = "bicubic",
    round_the_world: bool = False,
    around: Tensor | None = None,
) -> Tensor:
    """Resample (B,3,H,W) as seen after turning by (dpitch, dyaw) degrees from view angle `pitch`.

    Outside the old picture its mirror image begins: grass goes on as grass, where a repeated border
    would draw streaks that a rollout keeps. A rollout that turns by a few pixels a frame would get
    stripes of that, too, so it goes `round_the_world`, or is told what is `around` (B,3,H,W), in
    the new view. Bicubic, because a rollout resamples its own pictures many times and bilinear blur
    adds up.
    """
    height, width = pixels.shape[-2:]
    where = grid_round_the_world if round_the_world else turned_grid
    grid = where(height, width, dpitch, dyaw, pitch, fov_y)
    turned = sampled(pixels, grid, mode).clamp(-1.0, 1.0)  # bicubic overshoots at edges
    if around is None:
        return turned
    seen = (grid.abs() <= 1).all(1, keepdim=True) & ~from_behind(*in_pixels(grid).split(1, 1))
    return torch.where(seen, turned, around)


def sampled(picture: Tensor, grid: Tensor, mode: str) -> Tensor:
    """(B,K,H,W) at the columns and rows of `grid` (B,2,H,W), mirrored beyond the borders -1 and
    1."""
    where, edge = grid.movedim(1, -1), "reflection"
    return F.grid_sample(picture, where, mode=mode, padding_mode=edge, align_corners=False)


def sampled_at(picture: Tensor, places: Tensor, mode: str) -> Tensor:
    """As `sampled`, at columns and rows that count pixels."""
    height, width = picture.shape[-2:]
    columns, rows = places[:, 0], places[:, 1]
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=1)
    return sampled(picture, grid, mode)


def in_pixels(grid: Tensor) -> Tensor:
    """Columns and rows that count pixels (B,2,H,W), as `sampled_at` takes them, of a `grid`."""
    height, width = grid.shape[-2:]
    columns, rows = (grid[:, 0] + 1) * (width / 2) - 0.5, (grid[:, 1] + 1) * (height / 2) - 0.5
    return torch.stack([columns, rows], dim=1)


def turned_grid(
    height: int, width: int, dpitch: Tensor, dyaw: Tensor, pitch: Tensor, fov_y: float
) -> Tensor:
    """Where each pixel of a turned picture was before, columns and rows (B,2,H,W); -1 and 1 are the
    borders."""
    focal = focal_length(height, fov_y)
    y = (torch.arange(height, device=pitch.device, dtype=torch.float32) + 0.5 - height / 2) / focal
    x = (torch.arange(width, device=pitch.device, dtype=torch.float32) + 0.5 - width / 2) / focal
    # Plane by plane: a picture with two numbers in each place is slow to put together.
    turn = rotation(dpitch, dyaw, pitch)[..., None, None]  # (B,3,3,1,1)
    right, down, ahead = (
        turn[:, i, 0] * x + turn[:, i, 1] * y[:, None] + turn[:, i, 2] for i in range(3)
    )
    depth = ahead.clamp_min(1e-3)  # behind the camera only beyond +-90 degrees a tick
    # Scalars, not a tensor made here: a copy from the host cannot be captured in a CUDA graph.
    columns, rows = right / depth * (2 * focal / width), down / depth * (2 * focal / height)
    return torch.stack([columns, rows], dim=1)


def grid_round_the_world(
    height: int, width: int, dpitch: Tensor, dyaw: Tensor, pitch: Tensor, fov_y: float
) -> Tensor:
    """`turned_grid` with what lies left or right of the old picture taken from `AGAIN` degrees
    beside it.

    The world then repeats itself in yaw with all its texture, and what a turn reveals bit by bit is
    what it would reveal at once. What lies below comes from the left half, where games show no
    hand.
    """
    grid = turned_grid(height, width, dpitch, dyaw, pitch, fov_y)
    for side in (-1, 1):
        other = turned_grid(height, width, dpitch, dyaw - side * AGAIN, pitch, fov_y)
        grid = torch.where(side * grid[:, :1] > 1, other, grid)
    columns, rows = grid[:, :1], grid[:, 1:]
    left = torch.where(rows > 1, -columns.abs(), columns)  # below is ground, and no second hand
    return torch.cat([left, rows], dim=1)


def _pitch(degrees: Tensor) -> Tensor:
    c, s, o, i = _trig(degrees)
    return torch.stack([i, o, o, o, c, s, o, -s, c], dim=-1).view(-1, 3, 3)


def _yaw(degrees: Tensor) -> Tensor:
    c, s, o, i = _trig(degrees)
    return torch.stack([c, o, s, o, i, o, -s, o, c], dim=-1).view(-1, 3, 3)


def _trig(degrees: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    radians = degrees.float() * (math.pi / 180)
    return radians.cos(), radians.sin(), torch.zeros_like(radians), torch.ones_like(radians)
