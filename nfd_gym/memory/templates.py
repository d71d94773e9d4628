"""Templates: how placed blocks look, and what digging has laid bare, as filmed after edits.

A face of a placed block is known by its kind and facing. A face that only digging shows is taken
from the nearest one that was filmed, nearest first of all in its depth below the ground and in the
ground's colour: turf, earth and stone lie at the same depths below the same ground.
"""

import io
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.memory.atlas import Atlas

SIDE = 16  # texels along a template
# metres to the side that a metre of height, and of depth below the ground, are worth
HEIGHT_COUNTS, DEPTH_COUNTS = 2.0, 12.0
LAND_COUNTS = 1.0  # and a grey level of the ground's colour
NO_LAND = 40.0  # grey levels that a ground which nobody saw is off


class Templates(NamedTuple):
    placed: NDArray[np.uint8]  # (K,6,16,16,3) by kind and facing
    cell: NDArray[np.int16]  # (H,3) blocks whose face digging laid bare ...
    facing: NDArray[np.uint8]  # (H,) ... on this side
    texels: NDArray[np.uint8]  # (H,16,16,3)

    def of_hidden(self, cell: NDArray[np.int64], facing: int, atlas: Atlas) -> int | None:
        """Row of the filmed face that is most like a hidden one; None without any."""
        rows = np.flatnonzero(self.facing == facing)
        if not len(rows):
            rows = np.arange(len(self.facing))
        if not len(rows):
            return None
        cells = self.cell[rows].astype(np.int64)
        off = np.abs(cells - cell)
        deep = np.abs(atlas.below_surface(cells) - atlas.below_surface(cell))
        land = np.abs(atlas.land_colour(cells) - atlas.land_colour(cell)).mean(1)
        cost = off[:, [0, 2]].sum(1) + HEIGHT_COUNTS * off[:, 1] + DEPTH_COUNTS * deep
        cost = cost + LAND_COUNTS * np.where(np.isnan(land), NO_LAND, land)
        return int(rows[cost.argmin()])


def no_templates(kinds: int = 0) -> Templates:
    """Templates of a world that has filmed none."""
    tile = (SIDE, SIDE, 3)
    return Templates(
        np.zeros((kinds, 6, *tile), np.uint8), np.zeros((0, 3), np.int16),
        np.zeros(0, np.uint8), np.zeros((0, *tile), np.uint8),
    )  # fmt: skip


def pack_templates(templates: Templates) -> Tensor:
    """Templates as compressed bytes (uint8); `unpack_templates` inverts it."""
    box = io.BytesIO()
    np.savez_compressed(box, **templates._asdict())
    return torch.frombuffer(bytearray(box.getvalue()), dtype=torch.uint8)


def unpack_templates(packed: Tensor) -> Templates:
    with np.load(io.BytesIO(packed.numpy().tobytes()), allow_pickle=False) as arrays:
        return Templates(**{name: arrays[name] for name in Templates._fields})
