"""Walking measured in a picture pair: does the picture expand (forward) or shrink (back)?

Candidates are tried one by one: the first picture is resampled as if the player had moved, and
compared with the second by correlation. Two families of candidates:
- `scale_scores`: the picture scaled about the horizon straight ahead, where walking leads. Assumes
  nothing about the scene; its sign tells forward from back.
- `ground_scores`: flat ground under an eye at known height, which gives metres.
Scores of several picture pairs are averaged before the best candidate is taken, because a single
pair of grass pictures says little.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from nfd_gym.eval.metrics import Array
from nfd_gym.eval.registration import focal_length, sample

# What stands still on the screen, as shares of width and height (left, right, top, bottom).
OVERLAYS = ((0.465, 0.54, 0.44, 0.565), (0.61, 1.0, 0.53, 1.0))  # crosshair, held item
MARGIN = 0.02
SCALES = np.linspace(-0.24, 0.24, 33).astype(np.float32)  # log scale; + is forward
METRES = np.linspace(-1.2, 1.2, 33).astype(np.float32)
EYE_HEIGHT = 1.47  # of the twin's player (Luanti), metres
FEWEST = 400  # picture points that a score needs


def scale_scores(before: Array, after: Array, pitch: float, fov_y: float) -> Array:
    """Correlation for each of SCALES between luma pictures (H, W); pitch in degrees, + down."""
    x, y = _grid(before.shape)
    height, width = before.shape
    horizon = (height - 1) / 2 - focal_length(height, fov_y) * np.tan(np.radians(pitch))
    centre = (width - 1) / 2
    return np.array(
        [
            _score(
                before,
                after,
                (x, y),
                (centre + (x - centre) * np.exp(-s), horizon + (y - horizon) * np.exp(-s)),
            )
            for s in SCALES
        ],
        np.float32,
    )


def ground_scores(
    before: Array,
    after: Array,
    pitch: float,
    fov_y: float,
    sideways: bool = False,
    eye_height: float = EYE_HEIGHT,
) -> Array:
    """Correlation for each of METRES moved forward (or to the right) over flat ground.

    A point on the ground at distance eye_height below obeys n.X = eye_height, so the camera's move
    t changes its ray r to r - t (n.r) / eye_height.
    """
    height, width = before.shape
    focal, steep = focal_length(height, fov_y), np.radians(pitch)
    x, y = _grid(before.shape)
    ray = np.stack([(x - (width - 1) / 2) / focal, (y - (height - 1) / 2) / focal, np.ones_like(x)])
    below = np.cos(steep) * ray[1] + np.sin(steep) * ray[2]
    ahead = (0.0, -np.sin(steep), np.cos(steep))
    direction = np.array((1.0, 0.0, 0.0) if sideways else ahead)[:, None]
    near = below > 0.08  # further away than 18 eye heights nothing moves measurably
    x, y, ray, below = x[near], y[near], ray[:, near], below[near]
    scores = []
    for metres in METRES:
        old = ray + float(metres) * direction * below / eye_height
        depth = np.maximum(old[2], 0.05)
        source = (
            (width - 1) / 2 + focal * old[0] / depth,
            (height - 1) / 2 + focal * old[1] / depth,
        )
        scores.append(_score(before, after, (x, y), source))
    return np.array(scores, np.float32)


def best(candidates: Array, scores: Sequence[Array]) -> float:
    """The candidate with the highest mean score, refined by a parabola."""
    mean = np.mean(scores, axis=0)
    i = int(mean.argmax())
    if not 0 < i < len(mean) - 1:
        return float(candidates[i])
    low, mid, high = mean[i - 1 : i + 2]
    bend = low - 2 * mid + high
    offset = 0.0 if bend >= 0 else 0.5 * (low - high) / bend
    return float(candidates[i] + offset * (candidates[1] - candidates[0]))


def _grid(shape: tuple[int, ...]) -> tuple[Array, Array]:
    """Every second pixel: enough for a score, a quarter of the time."""
    y, x = np.mgrid[0 : shape[0] : 2, 0 : shape[1] : 2].astype(np.float32)
    return x, y


def _score(
    before: Array,
    after: Array,
    target: tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]],
    source: tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]],
) -> float:
    """Correlation of after[target] with before[source] over points that are inside and not
    covered."""
    seen = _visible(target, before.shape) & _visible(source, before.shape)
    if seen.sum() < FEWEST:
        return -1.0
    a = sample(before, source[0][seen], source[1][seen])
    b = sample(after, target[0][seen], target[1][seen])
    a, b = a - a.mean(), b - b.mean()
    return float((a @ b) / np.sqrt((a @ a) * (b @ b) + 1e-6))


def _visible(
    points: tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]], shape: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    x, y = points[0] / (shape[1] - 1), points[1] / (shape[0] - 1)
    seen = (x > MARGIN) & (x < 1 - MARGIN) & (y > MARGIN) & (y < 1 - MARGIN)
    for left, right, top, bottom in OVERLAYS:
        seen &= ~((x > left) & (x < right) & (y > top) & (y < bottom))
    return np.asarray(seen)
