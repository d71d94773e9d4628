"""What a world must beat: pictures that need no learning at all."""

import numpy as np

from nfd_gym.eval.rollout import Excerpt, Frames


def persistence(excerpt: Excerpt) -> Frames:
    """The last context frame, for ever (B, horizon, H, W, 3)."""
    return np.repeat(excerpt.last[:, None], excerpt.horizon, axis=1)


def mean_frame(frames: Frames) -> Frames:
    """The average picture of (..., H, W, 3)."""
    return np.asarray(np.rint(frames.reshape(-1, *frames.shape[-3:]).mean(axis=0)), np.uint8)
