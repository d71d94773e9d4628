"""Which filmed blocks are not there: frames look through them more often than they see them."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from nfd_gym.memory.atlas import NORMALS, Atlas, Faces
from nfd_gym.memory.geometry import pixel_rays
from nfd_gym.memory.raycast import cast

NO_CELLS = np.zeros((0, 3), np.int64)


class Witness:
    """Counts, cell by cell, of how often frames saw an atlas's block and how often past it."""

    def __init__(self, atlas: Atlas, fov_y: float) -> None:
        self.atlas, self.fov_y = atlas, fov_y
        cells = int(np.prod(atlas.shape))
        self.seen, self.past = np.zeros(cells, np.int64), np.zeros(cells, np.int64)

    def add(
        self, nearness: NDArray[np.float32], pose: NDArray[np.float32],
        edited: NDArray[np.int64] = NO_CELLS,
    ) -> None:  # fmt: skip
        """One frame's inverse depth (H,W) in 1/m from pose (5,); edited cells (E,3) and those
        beside them say nothing."""
        height, width = nearness.shape
        at = torch.from_numpy(pose)
        rays = pixel_rays(at[None], height, width, self.fov_y)[0].reshape(-1, 3)
        hits = cast(self.atlas.space, self.atlas.low, at[:3], rays)
        near = torch.from_numpy(nearness)
        # at an outline the nearest of the pixels around counts
        around = F.max_pool2d(near[None, None], 3, 1, 1)[0, 0].flatten().clamp_min(1e-6)
        solid = hits.cell >= 0
        if len(edited):
            around_them = torch.from_numpy(edited[:, None] + np.concatenate([NORMALS, [[0, 0, 0]]]))
            solid &= ~torch.isin(hits.cell, self.atlas.place(around_them)[0])
        past = solid & (1.0 / around > 1.03 * hits.depth + 0.1)
        seen = solid & ((near.flatten() * hits.depth - 1).abs() < 0.03)
        for counts, chosen in ((self.past, past), (self.seen, seen)):
            counts += np.bincount(hits.cell[chosen].numpy(), minlength=len(counts))

    def kept(self, faces: Faces) -> Faces:
        """Faces less those of blocks that were seen through more often than seen."""
        index, _ = self.atlas.place(torch.from_numpy(faces.cell.astype(np.int64)))
        keep = self.past[index.numpy()] <= self.seen[index.numpy()]
        return faces._replace(
            cell=faces.cell[keep], facing=faces.facing[keep], level=faces.level[keep],
            texels=faces.texels[keep],
        )  # fmt: skip
