"""What digging a block shows: the hidden sides of the solid cells around it."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.memory.atlas import NORMALS, Atlas
from nfd_gym.memory.like_sides import side_like
from nfd_gym.memory.templates import Templates


def laid_bare(
    atlas: Atlas, templates: Templates, first: int, cell: Tensor, keys: Tensor
) -> list[tuple[Tensor, int, int]]:
    """Block, facing and texture row of every side that digging a cell (3,) shows; -1: no template.
    A block that was filmed in part looks as those like it, others as what was laid bare before.

    A cell beside it is air, not rock, if the dug block's side towards it was seen. `keys` are the
    faces that edits brought, 6 * cell + facing; `first` is the row of the first template.
    """
    home, new = cell.cpu().numpy(), []
    for facing, normal in enumerate(NORMALS):
        beside = home - normal
        is_air = has_face(atlas, keys, home, facing ^ 1)
        if is_air or has_face(atlas, keys, beside, facing):
            continue
        row = side_like(atlas, beside, facing)
        if row is None:
            found = templates.of_hidden(beside, facing, atlas)
            row = -1 if found is None else first + found
        new.append((cell - torch.from_numpy(normal).to(cell), facing, row))
    return new


def has_face(atlas: Atlas, keys: Tensor, cell: NDArray[np.int64], facing: int) -> bool:
    """Whether a side of a cell was filmed or brought by an edit."""
    index, _ = atlas.place(torch.from_numpy(cell).to(atlas.low))
    return atlas.has_face(cell, facing) or bool((keys == index * 6 + facing).any())
