"""Places of a disc and of a thing made of boxes, read from pictures of flat colours.

Every pixel is a mixture of four colours, so the shares say how much of the player and of the thing
it shows. A pose is the one whose shape covers the pixels as the shares say (Gauss-Newton on the
distance to the shape's edge). Nothing is learned and nothing is remembered: equal pictures have
equal poses. All lengths are in pixels of a picture that is `side` wide.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Distance = Callable[[Array, Array, Array], Array]  # (pose, x, y) -> distance from a shape's edge
Colour = tuple[float, float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom

ANGLES = 32  # orientations tried before the fit
BAND = 25.0  # pixels on both sides of the first guess's edge that the fit looks at
ROUNDS, CLOSE = 8, 0.02  # of the fit at most; pixels (and fiftieths of a radian) that end it


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a picture can show: a disc, the player, and one rigid thing."""

    side: float
    table: Colour
    mark: Colour  # another flat colour on the table
    thing: Colour
    player: Colour
    radius: float  # of the player
    boxes: tuple[Box, ...]  # of the thing, in its own axes
    shift: float = 0.0  # by which the thing is drawn too far right and down
    grown: float = 0.0  # by which its outline is drawn outside its shape
    edge: float = 0.0  # at each side of the picture that is not looked at

    def middle(self) -> Array:
        """The thing's middle of area (2,) in its own axes."""
        left, top, right, bottom = np.array(self.boxes).T
        across = np.arange(left.min(), right.max()) + 0.5
        along = np.arange(top.min(), bottom.max()) + 0.5
        x, y = (axis.ravel() for axis in np.meshgrid(across, along))
        inside = self.thing_distance(np.zeros(3), x, y) + self.grown < 0
        return np.array([x[inside].mean(), y[inside].mean()])

    def disc_distance(self, centre: Array, x: Array, y: Array) -> Array:
        """Distance of places from the edge of the player at a centre (2,), negative inside."""
        return np.asarray(np.hypot(x - centre[0], y - centre[1]) - self.radius)

    def thing_distance(self, pose: Array, x: Array, y: Array) -> Array:
        """Distance of places from the outline of the thing at a pose (3,), negative inside."""
        cos, sin = np.cos(pose[2]), np.sin(pose[2])
        right, down = x - pose[0], y - pose[1]
        across, along = cos * right + sin * down, cos * down - sin * right
        apart = [_box_distance(box, across, along) for box in self.boxes]
        return np.asarray(np.min(apart, axis=0) - self.grown)


def read(scene: Scene, frames: NDArray[np.uint8]) -> Array:
    """States (..., 5) that square pictures uint8 (..., H, W, 3) show: player x, y; thing x, y and
    angle in radians."""
    flat = frames.reshape(-1, *frames.shape[-3:])
    middle = scene.middle()
    found = [_state(scene, middle, frame) for frame in flat] if len(flat) else np.empty((0, 5))
    return np.asarray(np.reshape(found, (*frames.shape[:-3], 5)), np.float64)


def hull(boxes: tuple[Box, ...]) -> list[tuple[float, float]]:
    """Corners of the smallest convex shape around boxes."""
    corners = sorted({(x, y) for a, b, c, d in boxes for x in (a, c) for y in (b, d)})
    found: list[tuple[float, float]] = []
    for chain in (corners, corners[::-1]):
        kept: list[tuple[float, float]] = []
        for x, y in chain:
            while len(kept) > 1:
                (ax, ay), (bx, by) = kept[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                kept.pop()
            kept.append((x, y))
        found += kept[:-1]
    return found


def _box_distance(box: Box, x: Array, y: Array) -> Array:
    left, top, right, bottom = box
    across = np.abs(x - (left + right) / 2) - (right - left) / 2
    along = np.abs(y - (top + bottom) / 2) - (bottom - top) / 2
    outside = np.hypot(across.clip(0, None), along.clip(0, None))
    return np.asarray(outside + np.maximum(across, along).clip(None, 0))


def _shares(scene: Scene, frame: NDArray[np.uint8]) -> tuple[Array, Array]:
    """Shares (H, W) of player and thing in every pixel."""
    ends = np.array([scene.mark, scene.thing, scene.player], np.float64) - scene.table
    mixed = (frame.astype(np.float64) - scene.table) @ np.linalg.inv(ends)
    return mixed[..., 2].clip(0, 1), mixed[..., 1].clip(0, 1)


def _state(scene: Scene, middle: Array, frame: NDArray[np.uint8]) -> Array:
    size = scene.side / frame.shape[0]  # of a pixel
    middles = (np.arange(frame.shape[0]) + 0.5) * size
    y, x = (grid.ravel() for grid in np.meshgrid(middles, middles, indexing="ij"))
    player, thing = (share.ravel() for share in _shares(scene, frame))
    table = (np.minimum(x, y) > scene.edge) & (np.maximum(x, y) < scene.side - scene.edge)
    centre = _mean(table * player**2, x, y)
    near = table & (np.hypot(x - centre[0], y - centre[1]) < 4 * scene.radius)
    centre = _fit(scene.disc_distance, centre, x[near], y[near], player[near], size)
    free = table & (scene.disc_distance(centre, x, y) > size)
    seen = _mean(np.where(free & (thing > 0.2), thing, 0.0), x, y)
    reach = 20 + max(np.hypot(*(corner - middle)) for corner in np.array(hull(scene.boxes)))
    near = free & (np.hypot(x - seen[0], y - seen[1]) < reach)
    x, y, thing = x[near] - scene.shift, y[near] - scene.shift, thing[near]
    tried = []
    for angle in np.arange(ANGLES) * (2 * np.pi / ANGLES):
        cos, sin = np.cos(angle), np.sin(angle)
        origin = seen - np.array([[cos, -sin], [sin, cos]]) @ middle
        pose = np.array([*origin, angle])
        error = _cover(scene.thing_distance(pose, x[::3], y[::3]), size) - thing[::3]
        tried.append((float(error @ error), pose))
    guess = min(tried, key=lambda pair: pair[0])[1]
    pose = _fit(scene.thing_distance, guess, x, y, thing, size)
    return np.array([*centre.clip(0, scene.side), *pose])


def _mean(weight: Array, x: Array, y: Array) -> Array:
    return np.array([weight @ x, weight @ y]) / max(float(weight.sum()), 1e-9)


def _fit(distance: Distance, guess: Array, x: Array, y: Array, share: Array, size: float) -> Array:
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
