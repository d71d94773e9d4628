"""The atlas: surfels filmed in training, as textured unit faces with levels of detail.

Space is a lattice of unit cells with centres at whole numbers. A face is (cell, facing) with
16x16 texels; coarser levels are its averages (8x8 .. 1x1). Chunks of 4 cells are culled by the
view, and each is drawn at the level whose texel is about a pixel.
"""

import io
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.memory.geometry import axes, focal_length
from nfd_gym.memory.surfels import Surfels

SIDES = (16, 8, 4, 2, 1)  # texels along a face at levels 0..4
LOOSE = 32  # squares off the lattice lie on this grid a metre
CHUNK = 4  # cells along a chunk
NORMALS = np.array([[-1, 0, 0], [1, 0, 0], [0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]])
# the two axes that lie in a face, by its axis
INPLANE = np.array([[1, 2], [0, 2], [0, 1]])


class Faces(NamedTuple):
    """What an atlas is made of, and what its file holds."""

    cell: NDArray[np.int16]  # (F,3)
    facing: NDArray[np.uint8]  # (F,) 0..5
    level: NDArray[np.uint8]  # (F,) finest level that was filmed
    texels: NDArray[np.uint8]  # (F,16,16,3); coarser faces repeat their texels
    loose: NDArray[np.int16]  # (L,3) squares off the lattice, in 1/32 m
    loose_facing: NDArray[np.uint8]  # (L,)
    loose_colour: NDArray[np.uint8]  # (L,3)


class Level(NamedTuple):
    surfels: Surfels  # sorted by chunk, then by facing
    start: Tensor  # (6*chunks+1,) long, where each group of a chunk and a facing begins


class Atlas:
    """Surfels of all levels, ready to be gathered for a view. Immutable."""

    def __init__(self, faces: Faces, device: torch.device | str = "cpu") -> None:
        self.faces = faces
        chunk_of = np.floor_divide(faces.cell, CHUNK).astype(np.int64)
        self.origin = chunk_of.min(0) if len(chunk_of) else np.zeros(3, np.int64)
        keys, members = np.unique(chunk_of - self.origin, axis=0, return_inverse=True)
        members = members.reshape(-1)
        self.chunks = keys  # (K,3) relative to origin
        corner = (keys + self.origin) * CHUNK - 0.5
        self.centre = torch.from_numpy((corner + CHUNK / 2).astype(np.float32)).to(device)
        cells = faces.cell.astype(np.int64)
        low = cells.min(0, initial=0)
        self.low = torch.from_numpy(low).to(device)
        owners = np.zeros(tuple(cells.max(0, initial=0) - low + 1), bool)
        owners[tuple((cells - low).T)] = True
        self.owners = torch.from_numpy(owners).to(device)  # cells that own a face: the blocks
        self.loose = Surfels(
            torch.from_numpy(faces.loose.astype(np.float32) / LOOSE).to(device),
            torch.from_numpy(faces.loose_facing).to(device),
            torch.full((len(faces.loose),), 2.2 / LOOSE, device=device),
            torch.from_numpy(faces.loose_colour).to(device),
        )
        self.levels = [
            _level(faces, members, len(keys), level, device) for level in range(len(SIDES))
        ]

    def visible(self, pose: Tensor, height: int, width: int, fov_y: float) -> list[Tensor]:
        """Groups (chunk, facing) in view of pose (5,) to draw at each level, front sides only."""
        eye, forward, right, up = axes(pose)
        focal = focal_length(height, fov_y)
        offset = self.centre - eye
        radius = CHUNK * 3**0.5 / 2
        ahead = offset @ forward
        seen = ahead > -radius
        for side, half in ((right, width / 2 / focal), (up, height / 2 / focal)):
            slack = radius * (1 + half * half) ** 0.5
            seen &= (offset @ side).abs() <= ahead.clamp_min(0.0) * half + slack
        distance = (offset.norm(dim=1) - radius).clamp_min(0.1)
        texel = distance / focal  # metres a pixel spans at the chunk's near end
        level = torch.floor(torch.log2((texel * (1.2 * SIDES[0])).clamp_min(1.0))).clamp_max(
            len(SIDES) - 1
        )
        front = torch.stack([offset > -CHUNK / 2, offset < CHUNK / 2], dim=-1).flatten(1)  # (K,6)
        groups = torch.arange(front.numel(), device=eye.device).view_as(front)
        return [
            groups[(front & (seen & (level == number))[:, None])] for number in range(len(SIDES))
        ]

    def has_face(self, cell: Sequence[int], facing: int) -> bool:
        """Whether that side of a cell was filmed: the cell before it is air."""
        return (*map(int, cell), int(facing)) in self._sides

    @cached_property
    def _sides(self) -> frozenset[tuple[int, ...]]:
        cells, facings = self.faces.cell.tolist(), self.faces.facing.tolist()
        return frozenset((*cell, facing) for cell, facing in zip(cells, facings, strict=True))

    def solid(self, cells: Tensor) -> Tensor:
        """Whether cells (...,3) own a filmed face."""
        place = cells - self.low
        shape = torch.tensor(self.owners.shape, device=cells.device)
        inside = ((place >= 0) & (place < shape)).all(-1)
        x, y, z = place.clamp_min(0).minimum(shape - 1).unbind(-1)
        return self.owners[x, y, z] & inside

    def gather(self, groups: list[Tensor], keep: "Keep | None" = None) -> Surfels:
        """The surfels of the groups of every level, less those of removed cells."""
        parts = [self.loose if keep is None else keep.loose(self.loose)]
        for level, chosen in zip(self.levels, groups, strict=True):
            if not len(chosen):
                continue
            start, stop = level.start[chosen], level.start[chosen + 1]
            rows = _ranges(start, stop)
            part = Surfels(*(field.index_select(0, rows) for field in level.surfels))
            if keep is not None:
                part = keep(part, chosen // 6, stop - start)
            parts.append(part)
        return Surfels(*(torch.cat(fields) for fields in zip(*parts, strict=True)))

    @property
    def count(self) -> int:
        """Surfels of the finest levels."""
        return sum(
            int(SIDES[level] ** 2 * n)
            for level, n in enumerate(np.bincount(self.faces.level, minlength=5))
        )


class Keep:
    """Removes surfels of dug cells, by looking only into chunks that hold one."""

    def __init__(self, atlas: Atlas, cells: Tensor) -> None:
        """`cells` (E,3) long, those that were dug."""
        self.keys = cell_key(cells).sort().values
        lattice = torch.div(cells, CHUNK, rounding_mode="floor") - torch.from_numpy(atlas.origin)
        table = torch.from_numpy(atlas.chunks)
        self.touched = (table[:, None] == lattice[None]).all(-1).any(-1)

    def loose(self, loose: Surfels) -> Surfels:
        """Squares off the lattice that lie in no removed cell."""
        gone = torch.isin(cell_key(torch.round(loose.position).long()), self.keys)
        return loose._replace(size=torch.where(gone, 0.0, loose.size))

    def __call__(self, part: Surfels, chunks: Tensor, counts: Tensor) -> Surfels:
        hot = self.touched[chunks]
        if not bool(hot.any()):
            return part
        rows = hot.repeat_interleave(counts).nonzero()[:, 0]
        gone = torch.isin(cell_key(owner_cell(part.position[rows], part.facing[rows])), self.keys)
        size = part.size.clone()
        size[rows[gone]] = 0.0
        return part._replace(size=size)


def owner_cell(position: Tensor, facing: Tensor) -> Tensor:
    """Cells (N,3) long whose faces surfels at (N,3) are part of."""
    normals = torch.from_numpy(NORMALS).to(position)
    return torch.round(position - 0.25 * normals[facing.long().clamp_max(5)]).long()


def cell_key(cells: Tensor) -> Tensor:
    """Cells (...,3) as one number each."""
    x, y, z = (cells + 4096).unbind(-1)
    return (x << 26) | (y << 13) | z


def _level(
    faces: Faces, chunk: NDArray[np.int64], chunks: int, level: int, device: torch.device | str
) -> Level:
    """Every face at this level, or at its own where that is coarser."""
    parts = []
    for own in range(len(SIDES)):
        rows = np.flatnonzero(np.maximum(faces.level, level) == own)
        if len(rows):
            parts.append((rows, SIDES[own]))
    position, facing, size, colour, where = [], [], [], [], []
    for rows, side in parts:
        n = len(rows)
        middle = (np.arange(side) + 0.5) / side - 0.5
        normals = NORMALS[faces.facing[rows]]
        inplane = INPLANE[faces.facing[rows] // 2]  # (n,2)
        points = np.repeat(faces.cell[rows][:, None] + 0.5 * normals[:, None], side * side, 1)
        u, v = np.meshgrid(middle, middle, indexing="ij")
        index = np.arange(n)[:, None]
        points[index, np.arange(side * side)[None], inplane[:, :1]] += u.reshape(1, -1)
        points[index, np.arange(side * side)[None], inplane[:, 1:]] += v.reshape(1, -1)
        block = SIDES[0] // side
        texels = faces.texels[rows].reshape(n, side, block, side, block, 3).astype(np.float32)
        colour.append(texels.mean((2, 4)).reshape(-1, 3).round().astype(np.uint8))
        position.append(points.reshape(-1, 3).astype(np.float32))
        facing.append(np.repeat(faces.facing[rows], side * side))
        size.append(np.full(n * side * side, 1.0 / side, np.float32))
        where.append(np.repeat(chunk[rows], side * side))
    if not parts:
        empty = np.zeros(0)
        arrays = (np.zeros((0, 3), np.float32), empty.astype(np.uint8), empty.astype(np.float32),
                  np.zeros((0, 3), np.uint8))  # fmt: skip
        order = np.zeros(0, np.int64)
        counts = np.zeros(6 * chunks, np.int64)
    else:
        arrays = tuple(np.concatenate(x) for x in (position, facing, size, colour))  # type: ignore[assignment]
        owners = np.concatenate(where) * 6 + arrays[1]
        order = np.argsort(owners, kind="stable")
        counts = np.bincount(owners, minlength=6 * chunks)
    surfels = Surfels(*(torch.from_numpy(x[order]).to(device) for x in arrays))
    start = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])).to(device)
    return Level(surfels, start)


def _ranges(start: Tensor, stop: Tensor) -> Tensor:
    """All whole numbers of the half-open ranges, in order."""
    count = stop - start
    first = torch.repeat_interleave(start - (count.cumsum(0) - count), count)
    return first + torch.arange(len(first), device=start.device)


def pack(faces: Faces, sky: NDArray[np.uint8]) -> Tensor:
    """Faces and a sky as compressed bytes (uint8); `unpack` inverts it."""
    box = io.BytesIO()
    np.savez_compressed(box, sky=sky, **faces._asdict())
    return torch.frombuffer(bytearray(box.getvalue()), dtype=torch.uint8)


def unpack(packed: Tensor) -> tuple[Faces, NDArray[np.uint8]]:
    with np.load(io.BytesIO(packed.numpy().tobytes()), allow_pickle=False) as arrays:
        return Faces(**{name: arrays[name] for name in Faces._fields}), arrays["sky"]
