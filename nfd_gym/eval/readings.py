"""What a clip shows the player doing, read from its pictures alone.

The same reading is taken of the dream and of the recording, so the recording's own score is the
ceiling of the judge.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nfd_gym.eval.expansion import METRES, SCALES, best, ground_scores, scale_scores
from nfd_gym.eval.metrics import Array, luma
from nfd_gym.eval.registration import pitch_between, yaw_between
from nfd_gym.eval.rollout import Frames

GAP = 4  # ticks between the pictures of a walking pair: 0.8 m at full speed, several pixels
PATCH = (0.30, 0.70, 0.28, 0.72)  # around the crosshair: left, right, top, bottom shares


@dataclass(frozen=True)
class Turn:
    """Rotation per tick in degrees, mean over the clip; yaw + right, pitch + down."""

    yaw: float
    pitch: float


@dataclass(frozen=True)
class Walk:
    """Median over picture pairs `GAP` ticks apart."""

    expansion: float  # log scale about the horizon ahead: + is forward
    forward: float  # metres, under flat ground
    right: float  # metres


def read_turn(frames: Frames, pitch: Array, fov_y: float) -> Turn:
    """Mean rotation per tick over frames (T, H, W, 3). `pitch` (T,) of the view sets the geometry
    of yaw only; the pitch rate is measured without it."""
    pairs = range(len(frames) - 1)
    yaw = [yaw_between(frames[i], frames[i + 1], float(pitch[i]), fov_y) for i in pairs]
    down = [pitch_between(frames[i], frames[i + 1], fov_y) for i in pairs]
    return Turn(float(np.mean(yaw)), float(np.mean(down)))


def read_walk(frames: Frames, pitch: Array, fov_y: float, starts: npt.NDArray[np.intp]) -> Walk:
    """Motion between frames[i] and frames[i + GAP] for i in starts."""
    grey = luma(frames)
    expansion, forward, right = [], [], []
    for i in starts:
        pair, tilt = (grey[i], grey[i + GAP]), float(pitch[i])
        expansion.append(best(SCALES, [scale_scores(*pair, tilt, fov_y)]))
        forward.append(best(METRES, [ground_scores(*pair, tilt, fov_y)]))
        right.append(best(METRES, [ground_scores(*pair, tilt, fov_y, sideways=True)]))
    return Walk(*(float(np.median(values)) for values in (expansion, forward, right)))


def patch(frames: Frames) -> Array:
    """Luma of the middle of the picture (..., h, w)."""
    height, width = frames.shape[-3:-1]
    left, right, top, bottom = PATCH
    rows = slice(round(top * height), round(bottom * height))
    columns = slice(round(left * width), round(right * width))
    return luma(frames[..., rows, columns, :])


def change(before: Frames, after: Frames) -> Array:
    """How the middle of the picture changed (h, w): frames `after` (T, H, W, 3) by their median, so
    that a swinging tool, which is at each place only briefly, does not count."""
    return np.asarray(
        np.median(patch(after), axis=0) - np.median(patch(before), axis=0), np.float32
    )


def share_of_change(ours: Array, real: Array) -> float:
    """Projection of our change on the real one: 1 the same hole, 0 nothing or something
    unrelated."""
    return float((ours * real).sum() / max(float((real * real).sum()), 1e-9))
