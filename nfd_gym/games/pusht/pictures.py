"""PushT states from pictures: what the game draws, in its own pixels."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nfd_gym import shapes
from nfd_gym.games.pusht.spec import SIDE, SPEC

__all__ = ["SCENE", "SPEC", "logs", "state_of", "states"]

SCENE = shapes.Scene(
    side=SIDE,
    table=(255, 255, 255),
    mark=(144, 238, 144),  # the goal
    thing=(143, 163, 184),
    player=(75, 120, 248),
    radius=15.0,
    boxes=((-60.0, 0.0, 60.0, 30.0), (-15.0, 0.0, 15.0, 120.0)),  # the bar and the stem of the T
    shift=0.5,
    grown=1.5,
    edge=10.7,  # where walls are drawn
)


def states(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """States (..., 5) that pictures uint8 (..., H, W, 3) show: agent x, y; block x, y, angle."""
    return shapes.read(SCENE, frames)


def logs(frames: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """What recordings of the game keep beside pictures (T, H, W, 3): `state` (T, 5)."""
    return {"state": states(frames)}


def state_of(pose: ArrayLike) -> NDArray[np.float64]:
    """States (..., 5) of poses (..., 5), whose places are -1 to 1 over the picture."""
    values = np.asarray(pose, np.float64)
    return np.concatenate([(values[..., :4] + 1) * (SIDE / 2), values[..., 4:]], -1)
