"""The loops of surfels.draw and picture.close_pinholes compiled by numba, for a CPU; None without.

Plain torch next to each says what they compute; tests hold them equal.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfd_gym.memory.compiled import Floats, compiled, inlined


@inlined
def _put(
    near: Floats, fine: NDArray[np.uint8], owner: NDArray[np.int64], colour: Floats,
    weight: Floats, i: int, j: int, depth: float, level: int, n: int, paint: Floats, share: float,
    behind: Floats, blends: bool,
) -> None:  # fmt: skip
    """Square n at a pixel: the nearest wins, of equal depths the finest (level), then the first;
    when all are known (blends), those close behind it are averaged."""
    if blends:
        if depth <= near[i, j] * behind[0] + behind[1]:
            for k in range(3):
                colour[i, j, k] += share * paint[k]
            weight[i, j] += share
    elif depth < near[i, j] or (depth == near[i, j] and level < fine[i, j]):
        near[i, j], fine[i, j], owner[i, j] = depth, level, n


def _draw(
    position: Floats, facing: NDArray[np.uint8], size: Floats, paints: NDArray[np.uint8],
    view: Floats, focal: float, bounds: Floats, spans: Floats, behind: Floats, colour: Floats,
    near: Floats, wide: Floats, owner: NDArray[np.int64],
) -> None:  # fmt: skip
    """Squares (N,) seen along view (4,3) = eye, forward, right, up, into colour (H,W,3) of zeros,
    near (H,W) of inf, wide (H,W) of zeros and owner (H,W) of -1. `bounds`: nearest depth drawn,
    largest span, share of a span that its corners reach; `spans`: those that share a window."""
    height, width = near.shape
    fine, weight = np.zeros((height, width), np.uint8), np.zeros((height, width), np.float32)
    eye, forward, right, up = view[0], view[1], view[2], view[3]
    paint, offset, ray = np.empty(3, np.float32), np.empty(3, np.float32), np.empty(3, np.float32)
    half_w, half_h = np.float32(width / 2), np.float32(height / 2)
    for blends in (False, True):
        for n in range(len(size)):
            if size[n] <= 0:
                continue
            z = x = y = np.float32(0.0)
            for k in range(3):
                offset[k] = position[n, k] - eye[k]
                z += offset[k] * forward[k]
                x += offset[k] * right[k]
                y += offset[k] * up[k]
            if z <= bounds[0]:
                continue
            scale = focal / z
            x, y = half_w + x * scale, half_h - y * scale
            span = min(size[n] * scale, bounds[1])
            margin = span * np.float32(0.5) + np.float32(1.0)
            if not (x + margin > 0 and x - margin < width):
                continue
            if not (y + margin > 0 and y - margin < height):
                continue
            level = int(min(max(np.log2(max(size[n], np.float32(2.0**-8))) + 8, 0), 15))
            share = max(np.float32(16.0) * size[n], np.float32(1e-3)) ** np.float32(-3)
            for k in range(3):
                paint[k] = paints[n, k]
            if span <= spans[0]:
                if x >= 0 and x < width and y >= 0 and y < height:
                    _put(
                        near, fine, owner, colour, weight, int(y), int(x), z, level, n, paint,
                        share, behind, blends,
                    )  # fmt: skip
                continue
            bound = spans[-1]
            for m in range(len(spans) - 1, 0, -1):
                if span <= spans[m]:
                    bound = spans[m]
            side = int(np.ceil(bounds[2] * bound)) + 1
            axis = min(facing[n] // 2, 2)
            a, b = (1, 2) if axis == 0 else ((0, 2) if axis == 1 else (0, 1))
            reach = size[n] * np.float32(0.5001) + np.float32(1e-4)
            left = int(np.floor(x - np.float32((side - 1) / 2)))
            top = int(np.floor(y - np.float32((side - 1) / 2)))
            for i in range(max(top, 0), min(top + side, height)):
                v = (np.float32(i + 0.5) - half_h) / focal
                for j in range(max(left, 0), min(left + side, width)):
                    u = (np.float32(j + 0.5) - half_w) / focal
                    for k in range(3):
                        ray[k] = forward[k] + u * right[k] - v * up[k]
                    depth = z if facing[n] == 6 else offset[axis] / ray[axis]
                    if depth <= bounds[0] or abs(ray[a] * depth - offset[a]) > reach:
                        continue
                    if abs(ray[b] * depth - offset[b]) <= reach:
                        _put(
                            near, fine, owner, colour, weight, i, j, depth, level, n, paint, share,
                            behind, blends,
                        )  # fmt: skip
    for i in range(height):
        for j in range(width):
            if owner[i, j] >= 0:
                wide[i, j] = size[owner[i, j]] / near[i, j] * focal
                for k in range(3):
                    colour[i, j, k] /= max(weight[i, j], np.float32(1e-12))


def _pinholes(colour: Floats, depth: Floats, sharp: Floats, behind: float) -> None:
    """Gaps of a pixel in colour (3,H,W), depth and sharp (H,W), closed in place: first between the
    neighbours at the sides, then between those above and below."""
    height, width = depth.shape
    alike = np.float32(1.1)
    for down, right in ((0, 1), (1, 0)):
        old, known, paint = depth.copy(), sharp.copy(), colour.copy()
        for i in range(down, height - down):
            for j in range(right, width - right):
                a, b = old[i - down, j - right], old[i + down, j + right]
                far = max(a, b)
                if far < alike * min(a, b) and old[i, j] > np.float32(behind) * far:
                    for k in range(3):
                        mean = paint[k, i - down, j - right] + paint[k, i + down, j + right]
                        colour[k, i, j] = np.float32(0.5) * mean
                    sharp[i, j] = min(known[i - down, j - right], known[i + down, j + right])
                    depth[i, j] = np.float32(2) / (np.float32(1) / a + np.float32(1) / b)


draw: Any = compiled(_draw)
pinholes: Any = compiled(_pinholes)
