"""A window for render_mode="human", through Gymnasium's own HumanRendering (it brings pygame)."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import HumanRendering
from numpy.typing import NDArray


class Window:
    """Shows frames until closed."""

    def __init__(self, fps: int) -> None:
        self._picture = _Picture(fps)
        self._screen = HumanRendering(self._picture)

    def show(self, frame: NDArray[np.uint8]) -> None:
        self._picture.frame = frame
        self._screen.step(None)

    def close(self) -> None:
        self._screen.close()  # type: ignore[no-untyped-call]


class _Picture(gymnasium.Env[Any, Any]):
    """An env that is nothing but its picture."""

    render_mode = "rgb_array"

    def __init__(self, fps: int) -> None:
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": fps}
        self.action_space = self.observation_space = gymnasium.spaces.Discrete(1)
        self.frame = np.zeros((1, 1, 3), np.uint8)

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        return 0, 0.0, False, False, {}

    def render(self) -> NDArray[np.uint8]:  # type: ignore[override]
        return self.frame
