"""The env on stage: what the viewers need of any Gymnasium env of this package, in one place."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from nfd_gym.actions import codec_for_space
from nfd_gym.errors import NfdError, UsageError
from nfd_gym.games.spec import GameSpec

RATE = 20.0  # ticks a second of an env that does not say


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
class Past:
    """A frame that was shown, the action that made it, and what the env told of its camera."""

    frame: np.ndarray
    action: np.ndarray
    info: dict[str, Any]


@dataclass(frozen=True)
class Saved:
    """A quick save: the env's state, and the last frames that TAB would need."""

    state: bytes
    past: tuple[Past, ...]
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
        self.keys = keys_of(self.raw)
        self.title = title
        self.side = side
        self.rate = float(env.metadata.get("render_fps") or RATE)  # ticks a second
        self.seed = 0
        self.view = View(np.zeros((1, 1, 3), np.uint8))
        self.past: deque[Past] = deque(maxlen=memory)

    def reset(self, seed: int) -> View:
        """A new place. The same seed gives the same place."""
        self.seed = seed
        observation, info = self.env.reset(seed=seed)
        return self._arrived(observation, info)

    def step(self, vector: np.ndarray) -> View:
        # Wrappers of other packages count steps that undo takes back: the raw env is stepped.
        observation, reward, terminated, truncated, info = self.raw.step(self.codec.decode(vector))
        self.view = View(
            self._picture(observation), info, float(reward), bool(terminated or truncated)
        )
        self.past.append(Past(self.view.frame, vector, _camera(info)))
        self.undoable = min(self.undoable + 1, self.past.maxlen - 1)
        return self.view

    def begin(self, past: Sequence[Past]) -> View:
        """Continue from frames that another stage showed."""
        options: dict[str, Any] = {
            "frames": np.stack([one.frame for one in past]),
            "actions": np.stack([one.action for one in past]),
        }
        for name in getattr(self.raw, "takes", ()):
            if name not in options:
                options[name] = np.stack([np.asarray(one.info[name]) for one in past])
        observation, info = self.env.reset(seed=self.seed, options=options)
        view = self._arrived(observation, info)
        self.past.clear()
        self.past.extend(past)
        return view

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
        """Continue with more or fewer denoising steps per frame; nothing is forgotten."""
        if self.remake is None or self.steps is None:
            raise CannotError(f"{self.title} has no denoising steps")
        if self.steps + by < 1:
            raise CannotError("one denoising step is the least")
        try:
            fresh = self.remake(self.steps + by)
            fresh.unwrapped.load_state(self.raw.save_state())
        except ValueError as error:  # a distilled world knows its own noise levels only
            raise CannotError(str(error)) from None
        self.env.close()
        self.env, self.raw = fresh, fresh.unwrapped
        self.undoable = 0
        return self.view

    def map(self) -> np.ndarray:
        """What the world remembers, from above (h, w, 3)."""
        try:
            return np.asarray(self.raw.map()[0])
        except (AttributeError, NfdError):
            raise CannotError(f"{self.title} remembers no map") from None

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
        self.past.append(Past(self.view.frame, noop, _camera(info)))
        return self.view

    def _went_back(self, past: tuple[Past, ...]) -> View:
        self.past.clear()
        self.past.extend(past)
        self.view = View(self.raw.render(), dict(past[-1].info))
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
        view = self.dream.begin(tuple(self.real.past))
        self.active = self.dream
        return view


def _camera(info: dict[str, Any]) -> dict[str, Any]:
    """What `info` says of the camera: another world may begin from it."""
    return {name: info[name] for name in ("pitch", "eye", "depth") if name in info}


def keys_of(env: Any) -> dict[str, int]:
    """The keys that a learned world's game puts its numbered actions on; none elsewhere."""
    world = getattr(getattr(env, "dream", None), "world", None)
    spec = None if world is None else GameSpec.of_world(world)
    return {} if spec is None else dict(spec.keys)
