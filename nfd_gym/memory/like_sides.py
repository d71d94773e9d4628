"""A side of a block that nobody saw, from a block alike.

One side of it is known; among the blocks of which both that side and the wanted one were filmed
texel by texel, the likest lends the other.
"""

from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from nfd_gym.memory.atlas import Atlas
from nfd_gym.memory.like_faces import Floats, means

LEVEL = 2  # of the means by which sides are compared
ALIKE = 8.0  # grey levels (root mean square) by which they may differ
ORDER = (0, 1, 4, 5, 2, 3)  # known sides are asked in this order: upper ones say least

Rows = NDArray[np.int64]


class Sides:
    """An atlas's sides, ready to be compared."""

    def __init__(self, atlas: Atlas) -> None:
        faces = atlas.faces
        self.table = atlas.slot.view(-1, 6).cpu().numpy()
        self.table = self.table[(self.table >= 0).any(1)]  # of blocks: row of a face, by facing
        self.means: Floats = means(faces.texels, LEVEL).reshape(len(faces.texels), -1)
        self.fine = faces.level == 0
        self.pairs: dict[tuple[int, int], tuple[Rows, Rows]] = {}

    def like(self, own: Rows, facing: int) -> int | None:
        """Row of a face `facing` for the block whose faces are the rows `own` (6,), -1: unknown."""
        for other in ORDER:
            if other == facing or own[other] < 0:
                continue
            known, wanted = self._pairs(other, facing)
            if len(known):
                apart = np.square(self.means[known] - self.means[own[other]]).mean(1)
                best = int(apart.argmin())
                if apart[best] <= ALIKE**2:
                    return int(wanted[best])
        return None

    def _pairs(self, other: int, facing: int) -> tuple[Rows, Rows]:
        """Rows of the two sides (M,), (M,) of the blocks of which both are fine."""
        if (other, facing) not in self.pairs:
            known, wanted = self.table[:, other], self.table[:, facing]
            fine = (known >= 0) & (wanted >= 0) & self.fine[known] & self.fine[wanted]
            self.pairs[other, facing] = known[fine].astype(np.int64), wanted[fine].astype(np.int64)
        return self.pairs[other, facing]


def side_like(atlas: Atlas, cell: NDArray[np.int64], facing: int) -> int | None:
    """Row of the filmed face that stands for a side of a cell (3,) which nobody saw; None: no block
    is alike, or nothing is known of that cell."""
    place = cell - atlas.low.cpu().numpy()
    if not ((place >= 0) & (place < atlas.shape)).all():
        return None
    own = atlas.slot.view(*atlas.shape, 6)[tuple(place.tolist())].cpu().numpy().astype(np.int64)
    if atlas not in _SIDES:
        _SIDES[atlas] = Sides(atlas)
    return _SIDES[atlas].like(own, facing)


_SIDES: WeakKeyDictionary[Atlas, Sides] = WeakKeyDictionary()
