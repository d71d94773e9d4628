"""The env on stage: what the viewers need of any Gymnasium env of this package, in one place."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np

from nfd_gym.actions import codec_for_space


class CannotError(RuntimeError):
    """A wish that this world cannot grant; the message is shown to the player."""


@dataclass(frozen=True)
class View:
    """One frame on the screen and what is known about it."""

    frame: np.ndarray  # (H, W, 3) uint8
    info: dict[str, Any] = field(default_factory=dict)
    reward: float = 0.0
    ended: bool = False


class Stage:
    """One env. Actions come in as codec vectors; the last frames are remembered for TAB."""

    def __init__(self, env: gymnasium.Env, title: str, side: str = "dream", memory: int = 16) -> None:
        self.env = env
        self.raw: Any = env.unwrapped
        # An env of another package has no codec; its space names one.
        self.codec = getattr(self.raw, "codec", None) or codec_for_space(env.action_space)
        self.title = title
        self.side = side
        self.seed = 0
        self.view = View(np.zeros((1, 1, 3), np.uint8))
        self.past: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=memory)

    def reset(self, seed: int) -> View:
        """A new place. The same seed gives the same place."""
        self.seed = seed
        observation, info = self.env.reset(seed=seed)
        return self._arrived(observation, info)

    def step(self, vector: np.ndarray) -> View:
        # A loaded or undone frame lies before the env's own clock, so an episode limit of a wrapper
        # would end play at random: the raw env is stepped.
        observation, reward, terminated, truncated, info = self.raw.step(self.codec.decode(vector))
        self.view = View(self._picture(observation), info, float(reward), bool(terminated or truncated))
        self.past.append((self.view.frame, vector, _pitch(info)))
        return self.view

    def begin(self, frames: np.ndarray, actions: np.ndarray, pitch: np.ndarray) -> View:
        """Continue from frames (T, H, W, 3), the actions that made them and their view pitch."""
        options = {"frames": frames, "actions": actions, "pitch": pitch}
        observation, info = self.env.reset(seed=self.seed, options=options)
        view = self._arrived(observation, info)
        self.past.clear()
        self.past.extend(zip(frames, actions, pitch, strict=True))
        return view

    def memory(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The last frames (T, H, W, 3), the actions that made them (T, A) and their pitch (T,)."""
        frames, actions, pitch = zip(*self.past, strict=True)
        return np.stack(frames), np.stack(actions), np.array(pitch, np.float32)

    def save(self) -> bytes:
        if getattr(self.raw, "save_state", None) is None:
            raise CannotError(f"{self.title} cannot be saved: only a dream is a value")
        return self.raw.save_state()

    def load(self, state: bytes) -> View:
        if getattr(self.raw, "load_state", None) is None:
            raise CannotError(f"{self.title} cannot load a state: only a dream is a value")
        self.raw.load_state(state)
        return self._shown()

    def change_steps(self, by: int) -> int:
        """More or fewer denoising steps per frame; returns how many it is now."""
        steps = getattr(self.raw, "steps", None)
        if not isinstance(steps, int):
            raise CannotError(f"{self.title} has no denoising steps")
        self.raw.steps = max(1, steps + by)
        return self.raw.steps

    def undo(self, ticks: int) -> View:
        if getattr(self.raw, "undo", None) is None:
            raise CannotError(f"{self.title} cannot go back in time: only a dream can")
        try:
            self.raw.undo(ticks)
        except (ValueError, IndexError) as error:
            raise CannotError(str(error)) from None
        return self._shown()

    def close(self) -> None:
        self.env.close()

    def _arrived(self, observation: Any, info: dict[str, Any]) -> View:
        self.view = View(self._picture(observation), info)
        self.past.clear()
        noop = np.zeros(self.codec.width, np.float32)
        self.past.append((self.view.frame, noop, _pitch(info)))
        return self.view

    def _shown(self) -> View:
        return self._arrived(self.raw.render(), {})

    def _picture(self, observation: Any) -> np.ndarray:
        """The observation if it is a picture, else what the env renders."""
        frame = np.asarray(observation["pov"] if isinstance(observation, dict) else observation)
        if frame.ndim != 3:
            frame = np.asarray(self.raw.render())
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(
                f"play needs uint8 RGB frames (H, W, 3), got {frame.dtype} {frame.shape}; "
                'make the env with render_mode="rgb_array"'
            )
        return frame


class Twin:
    """The real game and the dream of it; TAB walks from one into the other.

    Real to dream: the dream continues from the real game's last frames. Dream to real: the real
    game goes on where it stood, for its time only passes while it is on stage.
    """

    def __init__(self, real: Stage, dream: Stage) -> None:
        self.real, self.dream = real, dream
        self.active = real

    def switch(self) -> View:
        """Cross over. Returns the frame to show, the same picture when entering the dream."""
        if self.active is self.dream:
            self.active = self.real
            return self.real.view
        self.dream.seed = self.real.seed
        view = self.dream.begin(*self.real.memory())
        self.active = self.dream
        return view


def _pitch(info: dict[str, Any]) -> float:
    return float(info.get("pitch", 0.0))
