"""Lanes that are quick: the tiny world, small pictures, short episodes; and a game of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from agents.lanes import Setup
from nfd_gym.actions import KeysAndMouse


@pytest.fixture
def setup(camera_world_path: Path) -> Callable[..., Setup]:
    """Setups in the tiny world; 36 pixels are the least that NatureCNN takes."""

    def make(**changes: Any) -> Setup:
        usual: dict[str, Any] = {
            "env": "NFD-v0", "world": str(camera_world_path), "lanes": 2, "horizon": 6, "repeat": 2,
            "stack": 2, "view": (36, 36), "engine": "eager",
        }  # fmt: skip
        return Setup(**{**usual, **changes})

    return make


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class Counter(gymnasium.Env[Any, Any]):
    """Shows its own clock as a grey picture; every tick pays 1; ends after `length` ticks."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    render_mode = "rgb_array"

    def __init__(self, length: int, terminates: bool = True) -> None:
        self.length, self.terminates = length, terminates
        self.codec = KeysAndMouse("discrete")
        self.action_space = self.codec.space()
        self.observation_space = gymnasium.spaces.Box(0, 255, (36, 36, 3), np.uint8)
        self.clock, self.episode = 0, 0
        self.actions: list[int] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.clock, self.episode = 0, self.episode + 1
        return self.render(), {"episode_number": self.episode, "seed": seed}

    def step(self, action: Any) -> Any:
        self.clock += 1
        self.actions.append(int(action))
        over = self.clock >= self.length
        ends, stops = over and self.terminates, over and not self.terminates
        return self.render(), 1.0, ends, stops, {"episode_number": self.episode}

    def render(self) -> Any:
        return np.full((36, 36, 3), self.clock + 100 * (self.episode % 2), np.uint8)
