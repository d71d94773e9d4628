"""Legs: what the displacement of an eye in one tick is predicted from, in named columns.

An eye gathers speed within a tick, so how fast it is at a tick's end hangs on what was pressed in
that tick: the legs are told the last action beside the coming one.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

SIDE, LOW, HIGH = 1, -3, 2  # cells around the eye's: -1..1 to the sides, -3..2 in height
CELLS = (2 * SIDE + 1) ** 2 * (HIGH - LOW + 1)
STEP = 0.2  # metres, about a tick's walk: the unit of displacements


class LegInputs(NamedTuple):
    """Columns of what the legs see (B,·), named; axes are turned by whole quarters."""

    walk: Tensor  # (B,W) what they are told
    last: Tensor  # (B,3) displacement of the last tick in STEP
    before: Tensor  # (B,3) of the tick before
    solid: Tensor  # (B,CELLS) solid cells around the eye's
    place: Tensor  # (B,3) in the eye's cell
    heading: Tensor  # (B,2) sine and cosine
    timers: Tensor  # (B,2)
    walked: Tensor  # (B,W) what they were told in the last tick ...
    faced: Tensor  # (B,2) ... and the heading then

    @classmethod
    def split(cls, inputs: Tensor) -> "LegInputs":
        """The columns of inputs (B,·)."""
        keys = (inputs.shape[1] - CELLS - 15) // 2
        return cls(*inputs.split((keys, 3, 3, CELLS, 3, 2, 2, keys, 2), 1))


def turned_by(vectors: Tensor, quarters: Tensor) -> Tensor:
    """World vectors (B,...,3) in axes turned by quarters (B,) of the yaw."""
    angle = (quarters * (math.pi / 2)).view(-1, *[1] * (vectors.ndim - 2))
    c, s = angle.cos(), angle.sin()
    x, y, z = vectors.unbind(-1)
    return torch.stack([c * x + s * z, y, -s * x + c * z], dim=-1)


def unturn(vectors: Tensor, quarters: Tensor) -> Tensor:
    """The inverse of `turned_by`."""
    return turned_by(vectors, -quarters)


def direction(degrees: Tensor) -> Tensor:
    """Sine and cosine (B,2) of angles (B,1)."""
    angle = torch.deg2rad(degrees)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def around(device: torch.device) -> Tensor:
    """Offsets (CELLS,3) of the cells around the eye's."""
    sides, heights = range(-SIDE, SIDE + 1), range(LOW, HIGH + 1)
    grid = [(float(x), float(y), float(z)) for y in heights for x in sides for z in sides]
    return torch.tensor(grid, device=device)
