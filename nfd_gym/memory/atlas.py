"""The atlas: textured faces of unit cells filmed in training, and the solid cells they enclose.

Space is a lattice of unit cells with centres at whole numbers. A face is (cell, facing) with 16x16
texels; coarser levels are its averages (8x8 .. 1x1), as a game's mip maps are. A cell that owns a
face is solid.
"""

import io
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.memory.raycast import free_space
from nfd_gym.memory.surfels import Surfels

SIDES = (16, 8, 4, 2, 1)  # texels along a face at levels 0..4
LOOSE = 32  # squares off the lattice lie on this grid a metre
MARGIN = 8  # cells around the filmed ones that edits may reach
NORMALS = np.array([[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]])
# the two axes that lie in a face, by its axis
INPLANE = np.array([[1, 2], [0, 2], [0, 1]])


class Faces(NamedTuple):
    """What an atlas is made of, and what its file holds."""

    cell: NDArray[np.int16]  # (F,3)
    facing: NDArray[np.uint8]  # (F,) 0..5 = -x, +x, -y, +y, -z, +z
    level: NDArray[np.uint8]  # (F,) finest level that was filmed
    texels: NDArray[np.uint8]  # (F,16,16,3); coarser faces repeat their texels
    loose: NDArray[np.int16]  # (L,3) squares off the lattice, in 1/32 m
    loose_facing: NDArray[np.uint8]  # (L,)
    loose_colour: NDArray[np.uint8]  # (L,3)


Bounds = tuple[NDArray[np.int64], NDArray[np.int64]]  # first cell of a grid, and behind the last


class Atlas:
    """Faces on a grid, ready to be hit by rays. Immutable."""

    def __init__(
        self, faces: Faces, device: torch.device | str = "cpu", bounds: Bounds | None = None
    ) -> None:
        self.faces = faces
        cells = faces.cell.astype(np.int64)
        low, high = bounds or (
            cells.min(0, initial=0) - MARGIN, cells.max(0, initial=0) + MARGIN + 1
        )  # fmt: skip
        self.shape = tuple((high - low).tolist())
        self.low = torch.from_numpy(low).to(device)
        slot = np.full((*self.shape, 6), -1, np.int32)
        slot[(*(cells - low).T, faces.facing)] = np.arange(len(cells))
        self.slot = torch.from_numpy(slot).flatten().to(device)  # row of a face, by cell and facing
        solid = torch.from_numpy((slot >= 0).any(-1)).to(device)
        self.space = free_space(solid)
        self.loose = Surfels(
            torch.from_numpy(faces.loose.astype(np.float32) / LOOSE).to(device),
            torch.from_numpy(faces.loose_facing).to(device),
            torch.full((len(faces.loose),), 2.2 / LOOSE, device=device),
            torch.from_numpy(faces.loose_colour).to(device),
        )

    def emptied(self) -> "Atlas":
        """The same grid, of which nothing is known."""
        low = self.low.cpu().numpy()
        nothing = Faces._make(part[:0] for part in self.faces)
        return Atlas(nothing, self.low.device, (low, low + np.array(self.shape)))

    def place(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Index (...) of cells (...,3) in the flattened grid, and whether they lie in it."""
        at = cells - self.low
        shape = torch.tensor(self.shape, device=cells.device)
        inside = ((at >= 0) & (at < shape)).all(-1)
        x, y, z = at.clamp_min(0).minimum(shape - 1).unbind(-1)
        return (x * self.shape[1] + y) * self.shape[2] + z, inside

    def columns(self, cells: Tensor) -> Tensor:
        """All cells (B,Y,3) of the grid above and below cells (B,3)."""
        heights = torch.arange(self.shape[1], device=cells.device) + self.low[1]
        columns = cells[:, None].expand(-1, len(heights), -1).clone()
        columns[..., 1] = heights
        return columns

    @cached_property
    def _surface(self) -> NDArray[np.int8]:
        """Cells from each cell (X,Y,Z) up to the next seen top of a block; 100: there is none."""
        tops = (self.slot.view(*self.shape, 6)[..., 3] >= 0).cpu().numpy()
        away = np.full(self.shape, 100, np.int8)
        for y in reversed(range(self.shape[1])):
            above = away[:, y + 1] if y + 1 < self.shape[1] else away[:, y]
            away[:, y] = np.where(tops[:, y], 0, np.minimum(above + 1, 100))
        return away

    @cached_property
    def open_ground(self) -> NDArray[np.int64]:
        """Cells (N,3) of open land: the one filmed top of their column, of which no side that looks
        down was filmed (a roof, a crown), higher than most columns (a sea)."""
        sides = (self.slot.view(*self.shape, 6) >= 0).cpu().numpy()
        single = (sides[..., 3].sum(1) == 1) & ~sides[..., 2].any(1)
        height = sides[..., 3].argmax(1)
        columns = np.argwhere(single & (height > np.bincount(height[single], minlength=1).argmax()))
        cells = np.stack([columns[:, 0], height[tuple(columns.T)], columns[:, 1]], 1)
        return np.asarray(cells + self.low.cpu().numpy(), np.int64)

    def highest(self, x: int, z: int) -> int | None:
        """Height of the highest top that was filmed in a column; None where there is none."""
        column, low = [x, 0, z], self.low.cpu().numpy()
        at = np.array(column) - low
        if (at[[0, 2]] < 0).any() or (at[[0, 2]] >= np.array(self.shape)[[0, 2]]).any():
            return None
        tops = self.slot.view(*self.shape, 6)[at[0], :, at[2], 3].cpu().numpy() >= 0
        return int(np.flatnonzero(tops)[-1] + low[1]) if tops.any() else None

    def below_surface(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many cells (...) lie between cells (...,3) and the open air above them."""
        at = np.clip(cells - self.low.cpu().numpy(), 0, np.array(self.shape) - 1)
        below: NDArray[np.int64] = self._surface[at[..., 0], at[..., 1], at[..., 2]].astype(
            np.int64
        )
        return below

    @cached_property
    def _colours(self) -> NDArray[np.float32]:
        """Mean colours (F+1,3) of the faces, and NaN for none."""
        means = self.faces.texels.mean((1, 2), dtype=np.float32)
        return np.concatenate([means, np.full((1, 3), np.nan, np.float32)])

    def land_colour(self, cells: NDArray[np.int64]) -> NDArray[np.float32]:
        """Mean colours (...,3) of the ground above cells (...,3): their next seen top; NaN where
        none was seen."""
        at = np.clip(cells - self.low.cpu().numpy(), 0, np.array(self.shape) - 1)
        top = at[..., 1] + self.below_surface(cells)
        known = top < self.shape[1]
        tops = self.slot.view(*self.shape, 6)[..., 3].cpu().numpy()
        rows = tops[at[..., 0], np.where(known, top, 0), at[..., 2]]
        return self._colours[np.where(known, rows, -1)]

    def has_face(self, cell: NDArray[np.int64] | list[int], facing: int) -> bool:
        """Whether that side of a cell was filmed: the cell before it is air."""
        index, inside = self.place(torch.as_tensor(np.asarray(cell, np.int64)).to(self.low))
        return bool(inside) and int(self.slot[index * 6 + facing]) >= 0


def mip_maps(texels: NDArray[np.uint8]) -> Tensor:
    """Textures (F,16,16,3) and their averages over 2x2 down to 1x1, flattened: (F*341,3)."""
    whole, parts = texels.astype(np.float32), []
    for side in SIDES:
        if side < SIDES[0]:
            whole = whole.reshape(len(whole), side, 2, side, 2, 3).mean((2, 4))
        parts.append(torch.from_numpy(whole.round().astype(np.uint8).reshape(-1, 3)))
    return torch.cat(parts)


def face_squares(
    cell: NDArray[np.int16], facing: NDArray[np.uint8], texels: NDArray[np.uint8], side: int,
    device: torch.device,
) -> Surfels:  # fmt: skip
    """Faces (F,) with textures (F,16,16,3) as side*side squares each."""
    count, squares = len(cell), side * side
    middle = (np.arange(side) + 0.5) / side - 0.5
    u, v = (axis.reshape(1, -1) for axis in np.meshgrid(middle, middle, indexing="ij"))
    centre = cell + 0.5 * NORMALS[facing]
    position = np.repeat(centre[:, None], squares, 1)
    inplane = INPLANE[facing // 2]
    rows, columns = np.arange(count)[:, None], np.arange(squares)[None]
    position[rows, columns, inplane[:, :1]] += u
    position[rows, columns, inplane[:, 1:]] += v
    block = SIDES[0] // side
    small = texels.reshape(count, side, block, side, block, 3).astype(np.float32).mean((2, 4))
    return Surfels(
        torch.from_numpy(position.reshape(-1, 3).astype(np.float32)).to(device),
        torch.from_numpy(np.repeat(facing, squares)).to(device),
        torch.full((count * squares,), 1.0 / side, device=device),
        torch.from_numpy(small.round().astype(np.uint8).reshape(-1, 3)).to(device),
    )


def standing_faces(
    atlas: Atlas, space: Tensor, keys: Tensor, rows: Tensor, texels: NDArray[np.uint8], level: int
) -> Surfels:
    """Squares of the atlas's faces whose blocks stand in a grid `space` (X,Y,Z), and of the faces
    that edits brought: keys (R,) 6 * cell + facing, with the textures `texels[rows]`."""
    faces, low = atlas.faces, atlas.low.cpu().numpy()
    index, _ = atlas.place(torch.from_numpy(faces.cell.astype(np.int64)).to(atlas.low))
    stands = (space.flatten()[index] == 0).cpu().numpy()
    new = keys.cpu().numpy()
    cells = np.stack(np.unravel_index(new // 6, atlas.shape), 1) + low
    return face_squares(
        np.concatenate([faces.cell[stands], cells]).astype(np.int16),
        np.concatenate([faces.facing[stands], (new % 6).astype(np.uint8)]),
        texels[np.concatenate([np.flatnonzero(stands), rows.cpu().numpy()])],
        SIDES[level],
        space.device,
    )


def pack(faces: Faces, sky: NDArray[np.uint8]) -> Tensor:
    """Faces and a sky as compressed bytes (uint8); `unpack` inverts it."""
    box = io.BytesIO()
    np.savez_compressed(box, sky=sky, **faces._asdict())
    return torch.frombuffer(bytearray(box.getvalue()), dtype=torch.uint8)


def unpack(packed: Tensor) -> tuple[Faces, NDArray[np.uint8]]:
    with np.load(io.BytesIO(packed.numpy().tobytes()), allow_pickle=False) as arrays:
        return Faces(**{name: arrays[name] for name in Faces._fields}), arrays["sky"]
