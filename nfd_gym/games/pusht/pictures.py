"""PushT states from pictures: colours are told apart, then a disc and a T are fitted to them.

A picture shows four flat colours, so every pixel is a mixture of them, and the shares say how much
of the agent and of the block it shows. A pose is the one whose shape covers the pixels as the
shares say (Gauss-Newton on the distance to the shape's edge). Nothing is learned and nothing is
remembered: equal pictures have equal states.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from nfd_gym.games.pusht.spec import SIDE

Array = NDArray[np.float64]
Distance = Callable[[Array, Array, Array], Array]  # (pose, x, y) -> distance from a shape's edge

WHITE, GOAL, BLOCK, AGENT = (255, 255, 255), (144, 238, 144), (143, 163, 184), (75, 120, 248)
RADIUS = 15.0  # of the agent, in the game's pixels
BLOCK_DRAWN = 0.5  # pixels by which the game draws the block too far right and down
GROWN = 1.5  # pixels by which the block's outline is drawn outside its shape
WALL = 10.7  # pixels at each side of the table where walls are drawn
ANGLES = 32  # orientations tried before the fit
BAND = 25.0  # pixels on both sides of the first guess's edge that the fit looks at
ROUNDS, CLOSE = 8, 0.02  # of the fit at most; pixels (and fiftieths of a radian) that end it
CENTRE = 40.7  # distance of the T's middle of area from its origin, along the stem
REACH = 100.0  # pixels around the middle of the block in which it is looked for


def states(frames: NDArray[np.uint8]) -> Array:
    """States (..., 5) that pictures uint8 (..., H, W, 3) show: agent x, y; block x, y, angle."""
    flat = frames.reshape(-1, *frames.shape[-3:])
    found = np.stack([_state(frame) for frame in flat]) if len(flat) else np.empty((0, 5))
    return np.asarray(found.reshape(*frames.shape[:-3], 5), np.float64)


def shares(frame: NDArray[np.uint8]) -> tuple[Array, Array]:
    """Shares (H, W) of agent and block in every pixel."""
    ends = np.array([GOAL, BLOCK, AGENT], np.float64) - WHITE
    mixed = (frame.astype(np.float64) - WHITE) @ np.linalg.inv(ends)
    return mixed[..., 2].clip(0, 1), mixed[..., 1].clip(0, 1)


def disc_distance(centre: Array, x: Array, y: Array) -> Array:
    """Distance of places from the agent's edge, negative inside."""
    return np.asarray(np.hypot(x - centre[0], y - centre[1]) - RADIUS)


def block_distance(pose: Array, x: Array, y: Array) -> Array:
    """Distance of places from the outline of the block at a pose (3,), negative inside."""
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    right, down = x - pose[0], y - pose[1]
    across, along = np.abs(cos * right + sin * down), cos * down - sin * right
    bar = _box(across - 60.0, np.abs(along - 15.0) - 15.0)
    stem = _box(across - 15.0, np.abs(along - 60.0) - 60.0)
    return np.asarray(np.minimum(bar, stem) - GROWN)


def _box(across: Array, along: Array) -> Array:
    outside = np.hypot(across.clip(0, None), along.clip(0, None))
    return np.asarray(outside + np.maximum(across, along).clip(None, 0))


def _state(frame: NDArray[np.uint8]) -> Array:
    size = SIDE / frame.shape[0]  # of a pixel
    middles = (np.arange(frame.shape[0]) + 0.5) * size
    y, x = (grid.ravel() for grid in np.meshgrid(middles, middles, indexing="ij"))
    agent, block = (share.ravel() for share in shares(frame))
    table = (np.minimum(x, y) > WALL) & (np.maximum(x, y) < SIDE - WALL)
    centre = _middle(table * agent**2, x, y)
    near = table & (np.hypot(x - centre[0], y - centre[1]) < 4 * RADIUS)
    centre = fit(disc_distance, centre, x[near], y[near], agent[near], size)
    free = table & (disc_distance(centre, x, y) > size)
    middle = _middle(np.where(free & (block > 0.2), block, 0.0), x, y)
    near = free & (np.hypot(x - middle[0], y - middle[1]) < REACH)
    x, y, block = x[near] - BLOCK_DRAWN, y[near] - BLOCK_DRAWN, block[near]
    tried = []
    for angle in np.arange(ANGLES) * (2 * np.pi / ANGLES):
        pose = np.array(
            [middle[0] + CENTRE * np.sin(angle), middle[1] - CENTRE * np.cos(angle), angle]
        )
        error = _cover(block_distance(pose, x[::3], y[::3]), size) - block[::3]
        tried.append((float(error @ error), pose))
    pose = fit(block_distance, min(tried, key=lambda pair: pair[0])[1], x, y, block, size)
    return np.array([*centre.clip(0, SIDE), *pose])


def _middle(weight: Array, x: Array, y: Array) -> Array:
    return np.array([weight @ x, weight @ y]) / max(float(weight.sum()), 1e-9)


def fit(distance: Distance, guess: Array, x: Array, y: Array, share: Array, size: float) -> Array:
    """The pose near a guess at which a shape covers the pixels at (x, y) most nearly as their
    shares say."""
    steps = np.array([1.0, 1.0, 0.02])[: len(guess)]
    band = np.abs(distance(guess, x, y)) < BAND
    x, y, share, pose = x[band], y[band], share[band], guess.copy()
    for _ in range(ROUNDS):
        slope = np.stack([
            _cover(distance(pose + step, x, y), size) - _cover(distance(pose - step, x, y), size)
            for step in np.diag(steps)
        ]) / 2  # fmt: skip
        short = share - _cover(distance(pose, x, y), size)
        square = slope @ slope.T + 1e-3 * np.eye(len(pose))
        move = np.linalg.solve(square, slope @ short).clip(-15, 15)
        pose += move * steps
        if np.abs(move).max() < CLOSE:
            break
    return pose


def _cover(distance: Array, size: float) -> Array:
    """Share of a pixel that a shape covers whose edge is at a distance from the middle."""
    return np.asarray((0.5 - distance / size).clip(0, 1))
