"""The sky as a direction: a grid of colours over elevation and azimuth, without parallax."""

import math

import torch
from torch import Tensor

ROWS, COLUMNS = 90, 180  # two degrees each


def sky_cells(rays: Tensor, rows: int = ROWS, columns: int = COLUMNS) -> tuple[Tensor, Tensor]:
    """Rays (...,3) -> row (elevation, up first) and column (azimuth) of the sky grid."""
    elevation = torch.asin((rays[..., 1] / rays.norm(dim=-1)).clamp(-1, 1))
    azimuth = torch.atan2(rays[..., 0], rays[..., 2])
    row = ((0.5 - elevation / math.pi) * rows).long().clamp(0, rows - 1)
    column = ((azimuth / (2 * math.pi) + 0.5) * columns).long() % columns
    return row, column


def empty_sky(device: torch.device | str = "cpu") -> Tensor:
    """A sky (ROWS,COLUMNS,4) uint8 of which nothing was seen."""
    return torch.zeros(ROWS, COLUMNS, 4, dtype=torch.uint8, device=device)


def paint_sky(sky: Tensor, rays: Tensor, colours: Tensor) -> None:
    """Puts colours (N,3) seen along rays (N,3) into a sky (ROWS,COLUMNS,4).

    Side effect: changes `sky`.
    """
    rows, columns = sky_cells(rays, *sky.shape[:2])
    sky[rows, columns, :3] = colours
    sky[rows, columns, 3] = 1
