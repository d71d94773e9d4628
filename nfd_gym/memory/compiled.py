"""The loops of raycast.cast and render.shade compiled by numba, for a CPU; None without numba.

Plain torch next to each says what they compute; tests hold them equal.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def _walk(
    space: NDArray[np.uint8], start: NDArray[np.float32], rays: NDArray[np.float32],
    begin: NDArray[np.float32], depth: NDArray[np.float32], cell: NDArray[np.int64],
    facing: NDArray[np.int64], jumps: int,
) -> None:  # fmt: skip
    """Ends of rays (N,3) from a start (3,) in a grid, into depth, cell and facing (N,)."""
    shape = space.shape
    ray, inverse = np.empty(3, np.float32), np.empty(3, np.float32)
    offset, at = np.empty(3, np.float32), np.empty(3, np.int64)
    for n in range(len(rays)):
        enter, leave = begin[n], np.float32(np.inf)
        for k in range(3):
            value = rays[n, k]
            if abs(value) < np.float32(1e-7):
                value = np.float32(1e-7)
            ray[k] = value
            inverse[k] = np.float32(1.0) / value
            offset[k] = -start[k] * inverse[k]
            a, b = offset[k], (np.float32(shape[k]) - start[k]) * inverse[k]
            enter, leave = max(enter, min(a, b)), min(leave, max(a, b))
        if not enter < leave:
            continue
        for k in range(3):
            at[k] = min(max(int(np.floor(start[k] + ray[k] * enter)), 0), shape[k] - 1)
        length, axis = enter, 0
        for jump in range(jumps):
            packed = int(space[at[0], at[1], at[2]])
            if packed == 0:
                if jump:
                    depth[n] = length
                    cell[n] = (at[0] * shape[1] + at[1]) * shape[2] + at[2]
                    facing[n] = 2 * axis + (0 if ray[axis] > 0 else 1)
                    break
                packed = 17  # an eye within a block looks out of it
            aside, above = packed & 15, packed >> 4
            length, border = np.float32(np.inf), 0
            for k in range(3):
                reach = above if k == 1 else aside
                far = at[k] + reach if ray[k] > 0 else at[k] + 1 - reach
                there = offset[k] + np.float32(far) * inverse[k]
                if there < length:
                    length, axis, border = there, k, far
            inside = True
            for k in range(3):
                if k == axis:
                    at[k] = border if ray[k] > 0 else border - 1
                else:
                    at[k] = int(np.floor(start[k] + ray[k] * length))
                inside = inside and 0 <= at[k] < shape[k]
            if not inside:
                break


def _shade(
    cell: NDArray[np.int64], facing: NDArray[np.int64], depth: NDArray[np.float32],
    rays: NDArray[np.float32], eye: NDArray[np.float32], right: NDArray[np.float32],
    down: NDArray[np.float32], slot: NDArray[np.int32], keys: NDArray[np.int64],
    rows: NDArray[np.int64], textures: NDArray[np.uint8], finest: NDArray[np.int64],
    parts: NDArray[np.float32], colour: NDArray[np.float32], sharp: NDArray[np.float32],
) -> None:  # fmt: skip
    """Colours (N,3) and sharpness (N,) of the faces that rays (N,3) hit, into colour and sharp;
    right and down (3,) are a pixel's steps on the plane at depth 1."""
    count = len(finest)
    for n in range(len(cell)):
        if cell[n] < 0:
            continue
        face = cell[n] * 6 + facing[n]
        row = np.int64(slot[face])
        if len(keys):
            at = np.searchsorted(keys, face)
            if at < len(keys) and keys[at] == face:
                row = rows[at]
        if row < 0:
            continue
        axis = facing[n] // 2
        a, b = (1, 2) if axis == 0 else ((0, 2) if axis == 1 else (0, 1))
        across = rays[n, axis]
        if abs(across) < np.float32(1e-7):
            across = np.float32(1e-7)
        slope_a, slope_b = rays[n, a] / across, rays[n, b] / across
        place_a = eye[a] + depth[n] * rays[n, a] + np.float32(0.5)
        place_b = eye[b] + depth[n] * rays[n, b] + np.float32(0.5)
        place_a, place_b = place_a - np.floor(place_a), place_b - np.floor(place_b)
        right_a = (right[a] - slope_a * right[axis]) * depth[n]
        right_b = (right[b] - slope_b * right[axis]) * depth[n]
        down_a = (down[a] - slope_a * down[axis]) * depth[n]
        down_b = (down[b] - slope_b * down[axis]) * depth[n]
        widest = max(right_a * right_a + right_b * right_b, down_a * down_a + down_b * down_b)
        scaled = max(widest * np.float32(64.0), np.float32(1e-6))
        level = int(np.floor(np.float32(0.5) * np.log2(scaled) + np.float32(0.5)))
        level = min(max(level, 0), 4)
        first, side = np.int64(0), 16
        for _ in range(level):
            first += count * side * side
            side //= 2
        first += row * side * side
        red = green = blue = np.float32(0.0)
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
        colour[n, 0], colour[n, 1], colour[n, 2] = red * share, green * share, blue * share
        lacking = max(finest[row] - level, 0)
        sharp[n] = np.float32(2.0) ** -lacking


def _compiled(loop: Callable[..., Any]) -> Callable[..., Any] | None:
    try:
        import numba
    except ImportError:  # an extra: pip install 'nfd_gym[cpu]'
        return None
    compiled: Callable[..., Any] = numba.njit(cache=True)(loop)
    return compiled


walk, shade = _compiled(_walk), _compiled(_shade)
