"""Sides of filmed blocks that nobody filmed though there is air before them.

The underside of a tree is seen by few. Where frames looked through the cell before such a side, it
exists: it takes the texels of the same side of the block whose other side is most like this one's.
Without it, what is dug beside would be taken for rock.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.memory.atlas import NORMALS, Atlas, Faces
from nfd_gym.memory.geometry import pixel_rays
from nfd_gym.memory.like_sides import side_like

APART = 3  # pixels between the rays that are followed
PACE, SHORT = 0.3, 0.35  # metres between two looks along a ray, and from its end
FAR = 24.0  # metres that rays are followed
LOOKS = 12  # in a cell that make it air
FLAT = 4  # level of a side of one colour, where no block is alike

Cells = NDArray[np.int64]


class Air:
    """Counts of looks through cells."""

    def __init__(self, low: tuple[int, int, int], high: tuple[int, int, int], fov_y: float) -> None:
        self.low, self.fov_y = np.array(low), fov_y
        self.looks = np.zeros(np.array(high) - self.low, np.int32)

    def add(self, nearness: NDArray[np.float32], pose: NDArray[np.float32], edited: Cells) -> None:
        """One frame's inverse depth (H,W) in 1/m from a pose (5,); cells (E,3) that were edited say
        nothing."""
        height, width = nearness.shape
        rays = pixel_rays(torch.from_numpy(pose)[None], height, width, self.fov_y)[0].numpy()
        rays, near = (values[::APART, ::APART] for values in (rays, nearness))
        rays = rays.reshape(-1, 3)
        end = np.minimum(1.0 / np.maximum(near.ravel(), 1 / FAR), FAR) - SHORT
        at = np.arange(PACE, FAR, PACE, dtype=np.float32)
        ray, step = np.nonzero(at[None] < end[:, None])
        cells = np.round(pose[:3] + at[step, None] * rays[ray]).astype(np.int64) - self.low
        inside = ((cells >= 0) & (cells < self.looks.shape)).all(1)
        flat = np.ravel_multi_index(tuple(cells[inside].T), self.looks.shape)
        found = np.bincount(flat, minlength=self.looks.size).reshape(self.looks.shape)
        if len(edited):
            own = edited - self.low
            own = own[((own >= 0) & (own < self.looks.shape)).all(1)]
            found[tuple(own.T)] = 0
        self.looks += found.astype(np.int32)

    def there(self, cells: Cells) -> NDArray[np.bool_]:
        """Whether cells (N,3) were looked through often enough."""
        at = cells - self.low
        inside = ((at >= 0) & (at < self.looks.shape)).all(1)
        at = np.where(inside[:, None], at, 0)
        found: NDArray[np.bool_] = inside & (self.looks[tuple(at.T)] >= LOOKS)
        return found


def completed(faces: Faces, air: Air) -> Faces:
    """The same faces and, after them, the sides with air before them that were missing."""
    atlas, new = Atlas(faces), list[tuple[list[int], int, int, NDArray[np.uint8]]]()
    blocks = np.unique(faces.cell, axis=0).astype(np.int64)
    for facing, normal in enumerate(NORMALS):
        before = blocks + normal
        index, inside = atlas.place(torch.from_numpy(before))
        free = air.there(before) & ((atlas.space.flatten()[index] > 0) | ~inside).numpy()
        for cell in blocks[free]:
            if atlas.has_face(cell, facing):
                continue
            row = side_like(atlas, cell, facing)
            if row is None:
                colour = faces.texels[(faces.cell == cell).all(1)].mean((0, 1, 2))
                texels = np.broadcast_to(colour.round(), faces.texels.shape[1:]).astype(np.uint8)
                new.append((cell.tolist(), facing, FLAT, texels))
            else:
                new.append((cell.tolist(), facing, 0, faces.texels[row]))
    if not new:
        return faces
    cells, facings, levels, textures = zip(*new, strict=True)
    return faces._replace(
        cell=np.concatenate([faces.cell, np.array(cells, np.int16)]),
        facing=np.concatenate([faces.facing, np.array(facings, np.uint8)]),
        level=np.concatenate([faces.level, np.array(levels, np.uint8)]),
        texels=np.concatenate([faces.texels, np.stack(textures)]),
    )
