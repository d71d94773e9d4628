"""The loops of raycast.cast and render.render compiled by numba, for a CPU; None without numba.

Plain torch next to each says what they compute; tests hold them equal.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
TINY = np.float32(1e-7)  # a ray that crosses no plane of an axis is as slow along it

Loop = Callable[..., Any]

try:
    import numba

    HAS_NUMBA = True
except ImportError:  # an extra: pip install 'nfd_gym[cpu]'
    HAS_NUMBA = False


def inlined(loop: Loop) -> Loop:
    """The loop compiled on first use; in plain Python without numba."""
    if not HAS_NUMBA:
        return loop
    made: Loop = numba.njit(cache=True, nogil=True, error_model="numpy")(loop)
    return made


def compiled(loop: Loop) -> Loop | None:
    """The loop compiled on first use; None without numba."""
    return inlined(loop) if HAS_NUMBA else None


@inlined
def _end_of(
    space: NDArray[np.uint8], start: Floats, rx: Any, ry: Any, rz: Any, begin: Any, jumps: int
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Depth, cell and facing where one ray from a start (3,) in a grid ends; inf, -1 and 0 where
    it leaves the grid. Written out for each axis: this is where a picture's time goes."""
    one = np.float32(1.0)
    nothing = np.float32(np.inf), np.int64(-1), np.int64(0)
    nx, ny, nz = space.shape
    sx, sy, sz = start[0], start[1], start[2]
    rx = rx if abs(rx) >= TINY else TINY
    ry = ry if abs(ry) >= TINY else TINY
    rz = rz if abs(rz) >= TINY else TINY
    ix, iy, iz = one / rx, one / ry, one / rz
    ox, oy, oz = -sx * ix, -sy * iy, -sz * iz
    ex, ey, ez = (
        (np.float32(nx) - sx) * ix, (np.float32(ny) - sy) * iy, (np.float32(nz) - sz) * iz,
    )  # fmt: skip
    length = max(max(begin, min(ox, ex)), max(min(oy, ey), min(oz, ez)))
    if not length < min(max(ox, ex), min(max(oy, ey), max(oz, ez))):
        return nothing
    x = min(max(int(np.floor(sx + rx * length)), 0), nx - 1)
    y = min(max(int(np.floor(sy + ry * length)), 0), ny - 1)
    z = min(max(int(np.floor(sz + rz * length)), 0), nz - 1)
    side = 0
    for jump in range(jumps):
        packed: Any = np.int64(space[x, y, z])
        if packed == 0:
            if jump:
                return length, (x * ny + y) * nz + z, side
            packed = 17  # an eye within a block looks out of it
        aside, above = packed & 15, packed >> 4
        # the far sides of the free box: ahead, or behind
        fx = x + aside if rx > 0 else x + 1 - aside
        fy = y + above if ry > 0 else y + 1 - above
        fz = z + aside if rz > 0 else z + 1 - aside
        tx = ox + np.float32(fx) * ix
        ty = oy + np.float32(fy) * iy
        tz = oz + np.float32(fz) * iz
        if tx <= ty and tx <= tz:
            length, side = tx, (0 if rx > 0 else 1)
            x = fx - side
            y, z = int(np.floor(sy + ry * tx)), int(np.floor(sz + rz * tx))
        elif ty <= tz:
            length, side = ty, (2 if ry > 0 else 3)
            y = fy - side + 2
            x, z = int(np.floor(sx + rx * ty)), int(np.floor(sz + rz * ty))
        else:
            length, side = tz, (4 if rz > 0 else 5)
            z = fz - side + 4
            x, y = int(np.floor(sx + rx * tz)), int(np.floor(sy + ry * tz))
        if not (0 <= x < nx and 0 <= y < ny and 0 <= z < nz):
            break
    return nothing


def _walk(
    space: NDArray[np.uint8], start: Floats, rays: Floats, begin: Floats, depth: Floats,
    cell: NDArray[np.int64], facing: NDArray[np.int64], jumps: int,
) -> None:  # fmt: skip
    """Ends of rays (N,3) from a start (3,) in a grid, into depth, cell and facing (N,)."""
    for n in range(len(rays)):
        depth[n], cell[n], facing[n] = _end_of(
            space, start, rays[n, 0], rays[n, 1], rays[n, 2], begin[n], jumps
        )


@inlined
def _shade(
    face: int, ray: Floats, depth: float, eye: Floats, right: Floats, down: Floats,
    slot: NDArray[np.int32], keys: NDArray[np.int64], rows: NDArray[np.int64],
    textures: NDArray[np.uint8], finest: NDArray[np.int64], parts: Floats,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """Red, green, blue and sharpness where a ray (3,) hits a face (6 * cell + facing), the mean of
    some parts (Q,2) of a pixel; right and down (3,) are its steps on the plane at depth 1."""
    none = np.float32(0.0)
    row = np.int64(slot[face])
    low, high = 0, len(keys)
    while low < high:
        half = (low + high) // 2
        if keys[half] < face:
            low = half + 1
        else:
            high = half
    if low < len(keys) and keys[low] == face:
        row = rows[low]
    if row < 0:
        return none, none, none, none
    axis = face % 6 // 2
    a, b = (1, 2) if axis == 0 else ((0, 2) if axis == 1 else (0, 1))
    across = ray[axis] if abs(ray[axis]) >= TINY else TINY
    slope_a, slope_b = ray[a] / across, ray[b] / across
    place_a = eye[a] + depth * ray[a] + np.float32(0.5)
    place_b = eye[b] + depth * ray[b] + np.float32(0.5)
    place_a, place_b = place_a - np.floor(place_a), place_b - np.floor(place_b)
    right_a = (right[a] - slope_a * right[axis]) * depth
    right_b = (right[b] - slope_b * right[axis]) * depth
    down_a = (down[a] - slope_a * down[axis]) * depth
    down_b = (down[b] - slope_b * down[axis]) * depth
    widest = max(right_a * right_a + right_b * right_b, down_a * down_a + down_b * down_b)
    scaled = max(widest * np.float32(64.0), np.float32(1e-6))
    level = int(np.floor(np.float32(0.5) * np.log2(scaled) + np.float32(0.5)))
    level = min(max(level, 0), 4)
    first, side = np.int64(0), 16
    for _ in range(level):
        first += len(finest) * side * side
        side //= 2
    first += row * side * side
    red = green = blue = none
    for q in range(len(parts)):
        u = place_a + parts[q, 0] * right_a + parts[q, 1] * down_a
        v = place_b + parts[q, 0] * right_b + parts[q, 1] * down_b
        i = min(int(min(max(u, np.float32(0.0)), np.float32(1.0)) * side), side - 1)
        j = min(int(min(max(v, np.float32(0.0)), np.float32(1.0)) * side), side - 1)
        texel = first + i * side + j
        red += textures[texel, 0]
        green += textures[texel, 1]
        blue += textures[texel, 2]
    share = np.float32(1.0 / len(parts))
    sharp = np.float32(2.0) ** -max(finest[row] - level, 0)
    return red * share, green * share, blue * share, sharp


@inlined
def _beyond(ray: Floats, sky: NDArray[np.uint8]) -> tuple[Any, Any, Any, Any]:
    """Red, green, blue and sharpness of the sky (SH,SW,4) along a ray (3,)."""
    rows, columns = sky.shape[0], sky.shape[1]
    long = np.sqrt(ray[0] * ray[0] + ray[1] * ray[1] + ray[2] * ray[2])
    up = np.arcsin(min(max(ray[1] / long, np.float32(-1)), np.float32(1))) / np.float32(np.pi)
    around = np.arctan2(ray[0], ray[2]) / np.float32(2 * np.pi)
    row = min(max(int((np.float32(0.5) - up) * rows), 0), rows - 1)
    column = int((around + np.float32(0.5)) * columns) % columns
    red, green, blue, seen = sky[row, column]
    return np.float32(red), np.float32(green), np.float32(blue), np.float32(seen)


def _picture(
    space: NDArray[np.uint8], start: Floats, view: Floats, slot: NDArray[np.int32],
    keys: NDArray[np.int64], rows: NDArray[np.int64], textures: NDArray[np.uint8],
    finest: NDArray[np.int64], sky: NDArray[np.uint8], quarters: Floats, before: float,
    jumps: int, colour: Floats, depth: Floats, sharp: Floats,
) -> None:  # fmt: skip
    """A scene seen along view (4,3) = eye, forward, a pixel's steps right and down, into colour
    (H,W,3), depth and sharp (H,W); four quarters (4,2) of every pixel, each with a ray of its own
    where an outline runs through it."""
    height, width = depth.shape
    eye, forward, right, down = view[0], view[1], view[2], view[3]
    ray, middle = np.empty(3, np.float32), np.zeros((1, 2), np.float32)
    face, near = np.empty((height, width), np.int64), np.empty((height, width), np.float32)
    for i in range(height):
        for j in range(width):
            x, y = np.float32(j + 0.5 - width / 2), np.float32(i + 0.5 - height / 2)
            for k in range(3):
                ray[k] = forward[k] + x * right[k] + y * down[k]
            depth[i, j], cell, facing = _end_of(
                space, start, ray[0], ray[1], ray[2], np.float32(0), jumps
            )
            face[i, j] = 6 * cell + facing if cell >= 0 else -1
            near[i, j] = np.float32(1.0) / depth[i, j]
    for i in range(height):
        for j in range(width):
            x, y = np.float32(j + 0.5 - width / 2), np.float32(i + 0.5 - height / 2)
            if _outlined(face, near, i, j):
                nearest = np.float32(1e-6)
                for k in range(max(i - 1, 0), min(i + 2, height)):
                    for m in range(max(j - 1, 0), min(j + 2, width)):
                        nearest = max(nearest, near[k, m])
                red = green = blue = np.float32(0)
                least_far = far = least_known = known = np.float32(np.inf)
                for q in range(4):
                    for k in range(3):
                        ray[k] = forward[k] + (x + quarters[q, 0]) * right[k]
                        ray[k] += (y + quarters[q, 1]) * down[k]
                    away, cell, facing = _end_of(
                        space, start, ray[0], ray[1], ray[2], np.float32(before / nearest), jumps
                    )
                    if cell >= 0:
                        r, g, b, sure = _shade(
                            6 * cell + facing, ray, away, eye, right, down, slot, keys, rows,
                            textures, finest, middle,
                        )  # fmt: skip
                    else:
                        r, g, b, sure = _beyond(ray, sky)
                    red, green, blue = red + r, green + g, blue + b
                    # of depth and sharpness the second of four
                    far = min(far, max(least_far, away))
                    least_far = min(least_far, away)
                    known = min(known, max(least_known, sure))
                    least_known = min(least_known, sure)
                share = np.float32(0.25)
                colour[i, j, 0], colour[i, j, 1], colour[i, j, 2] = (
                    red * share, green * share, blue * share,
                )  # fmt: skip
                sharp[i, j], depth[i, j] = known, far
                continue
            for k in range(3):
                ray[k] = forward[k] + x * right[k] + y * down[k]
            if face[i, j] >= 0:
                red, green, blue, known = _shade(
                    face[i, j], ray, depth[i, j], eye, right, down, slot, keys, rows, textures,
                    finest, quarters,
                )  # fmt: skip
            else:
                red, green, blue, known = _beyond(ray, sky)
            colour[i, j, 0], colour[i, j, 1], colour[i, j, 2] = red, green, blue
            sharp[i, j] = known


@inlined
def _outlined(face: NDArray[np.int64], near: Floats, i: int, j: int) -> bool:
    """Whether a pixel lies next to one that shows another plane, see render.outlines."""
    height, width = face.shape
    side = face[i, j] % 6 if face[i, j] >= 0 else 6
    for down, right in ((0, 1), (1, 0)):
        more, less = (i + down, j + right), (i - down, j - right)
        after, before = more[0] < height and more[1] < width, less[0] >= 0 and less[1] >= 0
        if after and side != (face[more] % 6 if face[more] >= 0 else 6):
            return True
        if before and side != (face[less] % 6 if face[less] >= 0 else 6):
            return True
        if after and before:
            bend = abs(near[more] - np.float32(2) * near[i, j] + near[less])
            if bend > np.float32(1e-4) + np.float32(0.01) * near[i, j]:
                return True
    return False


walk, picture = compiled(_walk), compiled(_picture)
