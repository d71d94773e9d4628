"""The env on stage: what the viewers need of any Gymnasium env of this package, in one place."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from nfd_gym.actions import codec_for_space
from nfd_gym.errors import NfdError, UsageError


class CannotError(NfdError, RuntimeError):
    """A wish that this world cannot grant; the message is shown to the player."""


@dataclass(frozen=True)
class View:
    """One frame on the screen and what is known about it."""

    frame: np.ndarray  # (H, W, 3) uint8
    info: dict[str, Any] = field(default_factory=dict)
    reward: float = 0.0
    ended: bool = False


@dataclass(frozen=True)
class Saved:
    """A quick save: the env's state, and the last frames that TAB would need."""

    state: bytes
    past: tuple[tuple[np.ndarray, np.ndarray, float], ...]
    seed: int


class Stage:
    """One env. Actions come in as codec vectors; the last `memory` frames are remembered.

    `remake(steps)` builds the same env with another number of denoising steps.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        title: str,
        side: str = "dream",
        memory: int = 21,
        remake: Callable[[int], gymnasium.Env] | None = None,
    ) -> None:
        self.remake = remake
        self.undoable = 0  # ticks since the last cut, as far as the memory reaches
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
        self.view = View(
            self._picture(observation), info, float(reward), bool(terminated or truncated)
        )
        self.past.append((self.view.frame, vector, _pitch(info)))
        self.undoable = min(self.undoable + 1, self.past.maxlen - 1)
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

    def save(self) -> Saved:
        if getattr(self.raw, "save_state", None) is None:
            raise CannotError(f"{self.title} cannot be saved: only a dream is a value")
        return Saved(self.raw.save_state(), tuple(self.past), self.seed)

    def load(self, saved: Saved) -> View:
        if getattr(self.raw, "load_state", None) is None:
            raise CannotError(f"{self.title} cannot load a state: only a dream is a value")
        try:
            self.raw.load_state(saved.state)
        except ValueError as error:  # e.g. saved with another number of steps
            raise CannotError(str(error)) from None
        self.seed, self.undoable = saved.seed, 0
        return self._went_back(saved.past)

    def undo(self, ticks: int) -> tuple[View, int]:
        """Go back, as far as the memory reaches; returns the frame and how many ticks it was."""
        if getattr(self.raw, "undo", None) is None:
            raise CannotError(f"{self.title} cannot go back in time: only a dream can")
        ticks = min(ticks, self.undoable)
        if ticks == 0:
            raise CannotError("there is nothing to undo here")
        self.raw.undo(ticks)
        self.undoable -= ticks
        return self._went_back(tuple(self.past)[:-ticks]), ticks

    @property
    def steps(self) -> int | None:
        """Denoising steps per frame, None where frames are not denoised."""
        return getattr(self.raw, "steps", None)

    def change_steps(self, by: int) -> View:
        """Continue from the last frames with more or fewer denoising steps per frame."""
        if self.remake is None or self.steps is None:
            raise CannotError(f"{self.title} has no denoising steps")
        if self.steps + by < 1:
            raise CannotError("one denoising step is the least")
        fresh = self.remake(self.steps + by)
        self.env.close()
        self.env, self.raw = fresh, fresh.unwrapped
        return self.begin(*self.memory())

    def log_to(self, path: Path | None) -> bool:
        """Log for `python -m nfd_gym replay` from here on; None ends it. False if it cannot."""
        if getattr(self.raw, "log_to", None) is None:
            return False
        self.raw.log_to(path)
        return True

    def close(self) -> None:
        self.env.close()

    def _arrived(self, observation: Any, info: dict[str, Any]) -> View:
        self.view = View(self._picture(observation), info)
        self.undoable = 0
        self.past.clear()
        noop = np.zeros(self.codec.width, np.float32)
        self.past.append((self.view.frame, noop, _pitch(info)))
        return self.view

    def _went_back(self, past: tuple[tuple[np.ndarray, np.ndarray, float], ...]) -> View:
        self.past.clear()
        self.past.extend(past)
        self.view = View(self.raw.render(), {"pitch": past[-1][2]})
        return self.view

    def _picture(self, observation: Any) -> np.ndarray:
        """The observation if it is a picture, else what the env renders."""
        frame = np.asarray(observation["pov"] if isinstance(observation, dict) else observation)
        if frame.ndim != 3:
            frame = np.asarray(self.raw.render())
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise UsageError(
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
