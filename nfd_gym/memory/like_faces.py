"""Faces filmed from afar, completed from those filmed near by: blocks of one kind look alike.

A face of finest filmed level l is known as the mean colours of squares of 2^l texels. Among the
faces of the same facing that were filmed texel by texel, the one with the most equal means lends it
the rest; the means stay the face's own.
"""

import numpy as np
from numpy.typing import NDArray

from nfd_gym.memory.atlas import Faces

# finest filmed level -> grey levels (root mean square) by which the means may differ. Faces filmed
# texel by texel, made coarse and completed from others, are 2 to 3 times nearer to what they were
# than when left coarse, up to these differences (docs/LOG.md).
ALIKE = {1: 9.0, 2: 9.0, 3: 9.0, 4: 6.0}
AT_ONCE = 256  # faces compared at the same time

Floats = NDArray[np.float32]


def completed(faces: Faces) -> Faces:
    """The same faces; coarse ones that have a fine one like them have its texels (level 0)."""
    texels, level = faces.texels.copy(), faces.level.copy()
    for facing in range(6):
        fine = np.flatnonzero((faces.facing == facing) & (faces.level == 0))
        for number in ALIKE if len(fine) else ():
            coarse = np.flatnonzero((faces.facing == facing) & (faces.level == number))
            for begin in range(0, len(coarse), AT_ONCE):
                rows = coarse[begin : begin + AT_ONCE]
                made, sure = lent(faces.texels[rows], faces.texels[fine], number)
                texels[rows[sure]], level[rows[sure]] = made[sure], 0
    return faces._replace(texels=texels, level=level)


def lent(
    coarse: NDArray[np.uint8], fine: NDArray[np.uint8], level: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Texels (N,16,16,3) of coarse faces (N,...) with the detail of the fine one (M,...) that is
    most like each; and where that is alike enough."""
    wanted, known = means(coarse, level), means(fine, level)
    a, b = wanted.reshape(len(coarse), -1), known.reshape(len(fine), -1)
    apart = (a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)[None]
    best = apart.argmin(1)
    sure = apart.min(1) <= ALIKE[level] ** 2 * a.shape[1]
    moved = np.repeat(np.repeat(wanted - known[best], 1 << level, 1), 1 << level, 2)
    made = np.clip(fine[best] + moved, 0, 255).round().astype(np.uint8)
    return made, sure


def means(texels: NDArray[np.uint8], level: int) -> Floats:
    """Mean colours (N,n,n,3) of squares of 2^level texels."""
    edge = 1 << level
    count = texels.shape[1] // edge
    squares = texels.reshape(len(texels), count, edge, count, edge, 3)
    return np.asarray(squares.mean((2, 4), dtype=np.float32))
