"""Keys and mouse for the running game."""

from typing import Any

import numpy as np

from nfd_gym.games.luanti.env import Frame, LuantiEnv


def press(
    env: LuantiEnv, *keys: str, down: float = 0.0, right: float = 0.0
) -> tuple[Frame, dict[str, Any]]:
    turn = np.array([down, right], np.float32)
    frame, _, _, _, info = env.step({**env.codec.noop(), **dict.fromkeys(keys, 1), "camera": turn})
    return frame, info
