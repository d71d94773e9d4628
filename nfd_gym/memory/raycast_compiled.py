"""The loop of raycast.cast compiled by numba, for rays on a CPU; None where numba is missing."""

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


def _compiled() -> Callable[..., Any] | None:
    try:
        import numba
    except ImportError:  # an extra: pip install 'nfd_gym[cpu]'
        return None
    compiled: Callable[..., Any] = numba.njit(cache=True)(_walk)
    return compiled


walk = _compiled()
