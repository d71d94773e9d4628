"""Coverage, reward and end of PushT from states (..., 5): agent x, y; block x, y, angle.

Everything is numpy over leading dimensions, so that a planner can score thousands of states.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nfd_gym.games.pusht.spec import GOAL, RECTANGLES, SUCCESS

Array = NDArray[np.float64]

_TOUCHING = 1e-9  # pixels


def block_corners(pose: ArrayLike) -> Array:
    """Corners (..., 2 rectangles, 4, 2) of the block at poses (..., 3)."""
    pose = np.asarray(pose, np.float64)
    cos, sin = np.cos(pose[..., 2]), np.sin(pose[..., 2])
    turn = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
    corners = np.asarray(RECTANGLES) @ turn[..., None, :, :]
    return np.asarray(corners + pose[..., None, None, :2], np.float64)


def coverage(state: ArrayLike) -> Array:
    """Share (...) of the goal that the block of states (..., 5) covers."""
    block = block_corners(np.asarray(state, np.float64)[..., 2:5])
    goal = block_corners(GOAL)
    # A rectangle of the block against a rectangle of the goal, every pair: (..., 2, 2).
    overlap = intersection(block[..., :, None, :, :], goal[None, :])
    return np.asarray(overlap.sum((-2, -1)) / _area(goal).sum(-1), np.float64)


def reward(state: ArrayLike) -> Array:
    """The environment's reward (...): coverage, 1 from the success threshold on."""
    return np.asarray(np.clip(coverage(state) / SUCCESS, 0.0, 1.0), np.float64)


def ended(state: ArrayLike) -> NDArray[np.bool_]:
    """Whether the episode is over in states (..., 5)."""
    return np.asarray(coverage(state) > SUCCESS)


def angle_between(one: ArrayLike, other: ArrayLike) -> Array:
    """Absolute difference (...) of angles in radians, 0 to pi."""
    return np.asarray(np.abs((np.subtract(one, other) + np.pi) % (2 * np.pi) - np.pi), np.float64)


def intersection(one: ArrayLike, other: ArrayLike) -> Array:
    """Area (...) common to convex polygons (..., n, 2) and (..., m, 2) of the same orientation.

    Green's theorem: the common area's boundary is the part of each polygon inside the other one.
    """
    one, other = np.broadcast_arrays(np.asarray(one, np.float64), np.asarray(other, np.float64))
    parts = _boundary(one, other, touching=True) + _boundary(other, one, touching=False)
    return np.asarray(np.maximum(parts / 2, 0.0), np.float64)


def _boundary(edges: Array, inside: Array, touching: bool) -> Any:
    """Sum (...) of the cross products of one polygon's edges, cut to the inside of another.

    An edge that lies on an edge of the same direction counts if `touching`: once for the pair.
    """
    start, along = edges, np.roll(edges, -1, -2) - edges  # (..., n, 2)
    corner, side = inside, np.roll(inside, -1, -2) - inside  # (..., m, 2)
    # Signed distance times length of each edge's start from each side: (..., n, m).
    away = start[..., :, None, :] - corner[..., None, :, :]
    depth = _cross(side[..., None, :, :], away)
    slope = _cross(side[..., None, :, :], along[..., :, None, :])
    length = np.linalg.norm(side, axis=-1)[..., None, :]
    parallel = np.abs(slope) < 1e-9 * length
    cut = -depth / np.where(parallel, 1.0, slope)
    alike = (side[..., None, :, :] * along[..., :, None, :]).sum(-1) > 0
    within = depth > _TOUCHING * length
    if touching:
        within = within | (alike & (depth > -_TOUCHING * length))
    first = np.where(parallel & ~within, 2.0, 0.0)
    first = np.where(~parallel & (slope > 0), cut, first).max(-1).clip(0.0, None)
    last = np.where(~parallel & (slope < 0), cut, 1.0).min(-1).clip(None, 1.0)
    head = start + along * first[..., None]
    tail = start + along * last[..., None]
    return np.where(last > first, _cross(head, tail), 0.0).sum(-1)


def _area(polygon: Array) -> Any:
    return _cross(polygon, np.roll(polygon, -1, -2)).sum(-1) / 2


def _cross(one: Array, other: Array) -> Any:
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]
