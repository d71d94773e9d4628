"""Filming: an atlas gathered from RGB-D frames with known poses.

Every pixel is unprojected to the face of the lattice it lies on and averaged into the texel that a
game would have taken it from. What frames look through is not there: witness.py.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.memory.atlas import LOOSE, NORMALS, SIDES, Faces
from nfd_gym.memory.geometry import focal_length
from nfd_gym.memory.sky import COLUMNS, ROWS, sky_cells
from nfd_gym.memory.texture import sample_places, whole_texels

HORIZON = 1 / 250.0  # nearness below which a pixel is sky
FAR = 120.0  # metres; what is farther is not taken in
AXIAL = 0.93  # largest component of a normal that counts as along an axis
LOOSE_FAR, LOOSE_LOOKS = 6.0, 6  # metres within which small things are taken in; pixels needed
LEAST_SQUARES = 24  # squares of a small thing in its cell
CLOSEST = 3.99  # 1/metre; what is nearer was cut off
LOOSE_OFF = 0.15  # metres off every lattice plane; what is nearer is a wall seen badly
LEAST_LOOKS = 12.0  # pixels a face needs to be believed
FILLED = 0.5  # share of its texels that a level needs to be a face's own


class Filming:
    """Accumulates frames; `faces()` gives what was filmed. Bounds are whole cells."""

    def __init__(self, low: tuple[int, int, int], high: tuple[int, int, int], fov_y: float) -> None:
        self.low, self.fov_y = np.array(low), fov_y
        self.shape = tuple(np.array(high) - self.low)
        self.slot = np.full((*self.shape, 6), -1, np.int32)  # face -> row of the accumulators
        self.count = 0
        self.texels = [np.zeros((1024, side * side, 4), np.float32) for side in SIDES]
        self.looks = np.zeros(1024, np.float32)
        self.changed = np.zeros(self.shape, bool)  # cells that are not what they were: not filmed
        self.small: dict[int, list[int]] = {}  # squares off the lattice: sums and looks
        self.air = np.zeros((ROWS, COLUMNS, 4), np.float64)  # sums of sky colours, and looks

    def forget_changes(self) -> None:
        """What is filmed next is the place as it was at first."""
        self.changed[:] = False

    def change(self, cell: tuple[int, int, int]) -> None:
        """A cell was edited: it and those around it (their light changes too) are not filmed."""
        low = np.maximum(np.array(cell) - self.low - 1, 0)
        self.changed[tuple(slice(a, a + 3) for a in low)] = True

    def add(
        self, frame: NDArray[np.uint8], nearness: NDArray[np.float32], pose: NDArray[np.float32]
    ) -> None:
        """One frame (H,W,3) with inverse depth (H,W) in 1/m from pose (5,)."""
        height, width = nearness.shape
        eye, rays = _rays(pose, height, width, self.fov_y)
        self._sky(frame, rays, nearness)
        normal, solid = _normals(rays, nearness)
        depth = 1.0 / nearness[solid]
        ray = rays[solid]
        point = eye + depth[:, None] * ray
        # the lattice plane k + 0.5 next to each coordinate, and how far off it is
        plane = np.floor(point) + 0.5
        axis = np.abs(normal[solid]).argmax(1)
        rows = np.arange(len(point))
        off = np.abs(point[rows, axis] - plane[rows, axis])
        tolerance = 0.02 + depth * depth * (1.5 / 16384) + 0.002 * depth
        toward = -np.sign(ray[rows, axis])  # the visible side faces the eye
        cosine = np.abs(ray[rows, axis]) / np.linalg.norm(ray, axis=1)
        good = (off < tolerance) & (cosine > 0.05)
        self._loose(point, axis, toward, depth, off, frame[solid])
        rows = rows[good]
        axis, toward = axis[good], toward[good]
        facing = 2 * axis + (toward > 0)
        hit = plane[rows, axis]
        depth = (hit - eye[axis]) / ray[rows, axis]
        exact = eye + depth[:, None] * ray[rows]
        cell = np.round(exact - 0.25 * NORMALS[facing]).astype(np.int64)
        cell[np.arange(len(rows)), axis] = np.round(hit - 0.5 * toward).astype(np.int64)
        place = cell - self.low
        inside = ((place >= 0) & (place < self.shape)).all(1)
        inside[inside] = ~self.changed[tuple(place[inside].T)]
        rows, facing, depth = rows[inside], facing[inside], depth[inside]
        slots = self._slots(place[inside], facing)
        colour = frame[solid][rows].astype(np.float32)
        self._paint(slots, facing, depth, ray[rows], pose, colour, height)

    def _sky(
        self, frame: NDArray[np.uint8], rays: NDArray[np.float64], nearness: NDArray[np.float32]
    ) -> None:
        above = nearness < HORIZON
        row, column = sky_cells(torch.from_numpy(rays[above]))
        flat = (row * COLUMNS + column).numpy()
        colour = frame[above]
        for channel in range(3):
            self.air[..., channel].reshape(-1)[:] += np.bincount(
                flat, colour[:, channel], ROWS * COLUMNS
            )
        self.air[..., 3].reshape(-1)[:] += np.bincount(flat, minlength=ROWS * COLUMNS)

    def sky(self) -> NDArray[np.uint8]:
        """The sky (ROWS,COLUMNS,4): mean colours, and 1 where it was seen."""
        seen = self.air[..., 3:] > 0
        mean = self.air[..., :3] / np.maximum(self.air[..., 3:], 1)
        return np.concatenate([mean.round() * seen, seen], axis=2).astype(np.uint8)

    def _loose(
        self, point: NDArray[np.float64], axis: NDArray[np.int64], toward: NDArray[np.float64],
        depth: NDArray[np.floating], off: NDArray[np.float64], colour: NDArray[np.uint8],
    ) -> None:  # fmt: skip
        """Near flat pixels that lie on no lattice plane: small things."""
        chosen = (depth < LOOSE_FAR) & (off > LOOSE_OFF)
        if not chosen.any():
            return
        place = np.round(point[chosen] * LOOSE).astype(np.int64)
        facing = 2 * axis[chosen] + (toward[chosen] > 0)
        # in the plane on a grid of two steps: squares of 1/16 m
        for column in range(3):
            inplane = axis[chosen] != column
            place[inplane, column] = place[inplane, column] // 2 * 2 + 1
        keys = ((place + 8192) @ np.array([1 << 28, 1 << 14, 1])) * 8 + facing
        for key, rgb in zip(keys.tolist(), colour[chosen].tolist(), strict=True):
            total = self.small.get(key)
            if total is None:
                self.small[key] = [*rgb, 1]
            else:
                for channel in range(3):
                    total[channel] += rgb[channel]
                total[3] += 1

    def _slots(self, place: NDArray[np.int64], facing: NDArray[np.int64]) -> NDArray[np.int64]:
        index = np.ravel_multi_index((*place.T, facing), self.slot.shape)
        flat = self.slot.reshape(-1)
        fresh = np.unique(index[flat[index] < 0])
        if len(fresh):
            flat[fresh] = self.count + np.arange(len(fresh))
            self.count += len(fresh)
            while self.count > len(self.looks):
                self.looks = np.concatenate([self.looks, np.zeros_like(self.looks)])
                self.texels = [np.concatenate([t, np.zeros_like(t)]) for t in self.texels]
        return flat[index].astype(np.int64)

    def _paint(
        self, slots: NDArray[np.int64], facing: NDArray[np.int64], depth: NDArray[np.float64],
        ray: NDArray[np.float64], pose: NDArray[np.float32], colour: NDArray[np.float32],
        height: int,
    ) -> None:  # fmt: skip
        """Each pixel goes to the texel that a game would have taken it from: texture.py."""
        np.add.at(self.looks, slots, 1.0)
        sample = sample_places(
            torch.from_numpy(pose), torch.from_numpy(ray.astype(np.float32)),
            torch.from_numpy(depth.astype(np.float32)), torch.from_numpy(facing), height,
            self.fov_y,
        )  # fmt: skip
        level, a, b = (part.numpy() for part in whole_texels(sample))
        weighed = np.concatenate([colour, np.ones((len(colour), 1), np.float32)], axis=1)
        for number, side in enumerate(SIDES):
            chosen = level == number
            if not chosen.any():
                continue
            flat = slots[chosen] * (side * side) + a[chosen] * side + b[chosen]
            total = self.texels[number].reshape(-1, 4)
            keys, back = np.unique(flat, return_inverse=True)
            for channel in range(4):
                total[keys, channel] += np.bincount(back, weighed[chosen, channel], len(keys))

    def faces(self) -> Faces:
        """Faces with enough looks; texels that were never seen take their coarser level's."""
        kept = np.flatnonzero(self.looks[: self.count] >= LEAST_LOOKS)
        index = np.full(self.count, -1, np.int64)
        index[kept] = np.arange(len(kept))
        where = np.argwhere(self.slot >= 0)
        rows = index[self.slot[tuple(where.T)]]
        where, rows = where[rows >= 0], rows[rows >= 0]
        order = np.argsort(rows)
        where = where[order]
        cell, facing = (where[:, :3] + self.low).astype(np.int16), where[:, 3].astype(np.uint8)
        sums = [texels[kept].reshape(len(kept), s, s, 4) for texels, s in
                zip(self.texels, SIDES, strict=True)]  # fmt: skip
        for number in range(1, len(SIDES)):  # finer looks are looks of the coarser texel too
            side = SIDES[number]
            finer = sums[number - 1].reshape(len(kept), side, 2, side, 2, 4)
            sums[number] = sums[number] + finer.sum((2, 4))
        level = np.full(len(kept), len(SIDES) - 1, np.uint8)
        texels = np.zeros((len(kept), 1, 1, 3), np.float32)
        for number in range(len(SIDES) - 1, -1, -1):
            side = SIDES[number]
            if number < len(SIDES) - 1:
                texels = texels.repeat(2, 1).repeat(2, 2)
            total = sums[number]
            seen = total[..., 3] > 0
            mean = total[..., :3] / np.maximum(total[..., 3:], 1e-9)
            texels = np.where(seen[..., None], mean, texels)
            level = np.where(seen.mean((1, 2)) >= FILLED, number, level).astype(np.uint8)
        return Faces(cell, facing, level, texels.round().astype(np.uint8), *self._small_faces())

    def _small_faces(self) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.uint8]]:
        kept = {key: total for key, total in self.small.items() if total[3] >= LOOSE_LOOKS}
        keys = np.array(list(kept), np.int64).reshape(-1)
        sums = np.array(list(kept.values()), np.float64).reshape(-1, 4)
        facing, keys = keys % 8, keys // 8
        place = np.stack([keys >> 28, (keys >> 14) & 16383, keys & 16383], axis=1) - 8192
        colour = (sums[:, :3] / np.maximum(sums[:, 3:], 1)).round()
        # a small thing has many squares in its cell; a few are a wall seen badly
        home = np.floor_divide(place + LOOSE // 2, LOOSE) + 8192
        _, cell, squares = np.unique(
            home @ np.array([1 << 28, 1 << 14, 1]), return_inverse=True, return_counts=True
        )
        thing = squares[cell] >= LEAST_SQUARES
        place, facing, colour = place[thing], facing[thing], colour[thing]
        return place.astype(np.int16), facing.astype(np.uint8), colour.astype(np.uint8)


def _normals(
    rays: NDArray[np.float64], nearness: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Unit normals (H,W,3) of the surface around each pixel, and where it is flat and near enough.

    Inverse depth is linear across a plane, so its differences to both sides agree there.
    """
    near = nearness.astype(np.float64)
    points = rays / np.maximum(near, 1e-6)[..., None]
    right, down = np.zeros_like(points), np.zeros_like(points)
    right[:, 1:-1] = points[:, 2:] - points[:, :-2]
    down[1:-1] = points[2:] - points[:-2]
    normal = np.cross(right, down)
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-12)
    bend = np.full(near.shape, np.inf)
    bend[1:-1, 1:-1] = np.maximum(
        np.abs(near[1:-1, 2:] + near[1:-1, :-2] - 2 * near[1:-1, 1:-1]),
        np.abs(near[2:, 1:-1] + near[:-2, 1:-1] - 2 * near[1:-1, 1:-1]),
    )
    flat = bend < 3.0 / 16384 + 0.004 * near
    seen = (near > 1.0 / FAR) & (near < CLOSEST)
    return normal, flat & seen & (np.abs(normal).max(2) > AXIAL)


def _rays(
    pose: NDArray[np.float32], height: int, width: int, fov_y: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eye (3,) and rays (H,W,3) of one pose, 1 long along the optical axis."""
    x, y, z, yaw, pitch = (float(value) for value in pose)
    cy, sy = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    cp, sp = np.cos(np.radians(pitch)), np.sin(np.radians(pitch))
    forward = np.array([-sy * cp, -sp, cy * cp])
    right, up = np.array([-cy, 0.0, -sy]), np.array([-sy * sp, cp, cy * sp])
    focal = focal_length(height, fov_y)
    xs = (np.arange(width) + 0.5 - width / 2) / focal
    ys = (np.arange(height) + 0.5 - height / 2) / focal
    rays = forward + xs[None, :, None] * right - ys[:, None, None] * up
    return np.array([x, y, z]), rays
