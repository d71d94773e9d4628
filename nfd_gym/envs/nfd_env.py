"""NFDEnv: a learned world as a Gymnasium env."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from nfd_gym.envs.dream import Dream, DreamSettings
from nfd_gym.envs.tasks import Task
from nfd_gym.envs.window import Window
from nfd_gym.runtime.replay import Log
from nfd_gym.runtime.threads import keep_memory_mapped
from nfd_gym.world import WorldModel

if TYPE_CHECKING:
    from nfd_gym.envs.vector_env import NFDVectorEnv

Frame = NDArray[np.uint8]


class NFDEnv(gymnasium.Env[Frame, Any]):
    """One dream: the observation is the next frame that the world draws, uint8 (height, width, 3).

    world          a folder, the name of a shipped world, or a WorldModel
    action_space   a preset of the world's codec: multidiscrete (default), discrete, box, minerl
    task           explore, travel, chop, dig, a Task object, or None: reward 0 (envs/tasks.py)
    size           (width, height) of the observation, area-averaged; default the world's own
    device, engine where and how frames are drawn; engine "auto" takes the fastest one installed
    steps          denoising steps per frame; default what the world was distilled for
    speculate      off, ahead, parallel, auto (see runtime/speculate.py)
    start_index, num_starts   which start clips episodes begin from
    max_drift      truncate when the picture is this many times odder than an ordinary real one
    timings        put milliseconds into info["timings"]; off, because they are never reproducible
    log            write every reset and action to this file, for `python -m nfd_gym replay`

    `info`: pitch (view angle, degrees, + down), drift, reward_terms, speculation (counts).
    """

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(
        self,
        world: str | Path | WorldModel,
        *,
        action_space: str | None = None,
        task: str | Task | None = None,
        size: tuple[int, int] | None = None,
        device: str = "cpu",
        engine: str = "auto",
        steps: int | None = None,
        speculate: str = "off",
        start_index: int = 0,
        num_starts: int | None = None,
        max_episode_steps: int | None = None,
        max_drift: float | None = None,
        timings: bool = False,
        log: str | Path | None = None,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(
                f"render_mode must be 'human', 'rgb_array' or None, got {render_mode!r}."
            )
        keep_memory_mapped()
        how = DreamSettings(
            action_space=action_space, task=task, size=size, device=device, engine=engine,
            steps=steps, speculate=speculate, start_index=start_index, num_starts=num_starts,
            max_episode_steps=max_episode_steps, max_drift=max_drift, timings=timings,
        )  # fmt: skip
        self.dream = Dream(world, 1, how)
        self.codec = self.dream.codec
        self.action_space = self.dream.action_space
        self.observation_space = self.dream.observation_space
        self.render_mode = render_mode
        self._begun = False
        self._window: Window | None = None
        self._log = None if log is None else Log(log, self.dream.session)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frame, dict[str, Any]]:
        """Begin from a start clip drawn by the seed, from clip `options["start"]`, or own frames.

        Own frames: options {"frames": uint8 (T,H,W,3), "actions": T actions of this env's space,
        "pitch": T view angles (optional)}; actions[i] produced frames[i], any T >= 1.
        """
        super().reset(seed=seed)
        (info,) = self.dream.reset([self.np_random], options or {}, np.ones(1, bool))
        self._begun = True
        if self._log is not None:
            one = self.dream.begun[0]
            self._log.reset(one.start, one.seed, one.clip)
        return self._shown(), info

    def step(self, action: Any) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        self._check_begun("step")
        vector = self.dream.encode(action)
        outcome = self.dream.step(vector[None])
        if self._log is not None:
            self._log.step(vector)
        reward, terminated = float(outcome.rewards[0]), bool(outcome.terminated[0])
        return self._shown(), reward, terminated, bool(outcome.truncated[0]), outcome.infos[0]

    def render(self) -> Frame | None:  # type: ignore[override]
        """The frame on show in the world's own size; in "human" mode it is in a window instead."""
        if self.render_mode is None or not self._begun:
            return None
        if self.render_mode == "rgb_array":
            return np.asarray(self.dream.session.frame[0])
        if self._window is None:
            self._window = Window(self.metadata["render_fps"])
        self._window.show(self.dream.session.frame[0])
        return None

    def close(self) -> None:
        """Stop background work and close the window. Idempotent."""
        self.dream.session.close()
        if self._window is not None:
            self._window.close()
            self._window = None
        if self._log is not None:
            self._log.close()

    def log_to(self, file: str | Path | None) -> None:
        """Log from here on, beginning with the state as it stands; None ends the log."""
        if self._log is not None:
            self._log.close()
        self._log = None if file is None else Log(file, self.dream.session)
        if self._log is not None and self._begun:
            self._log.load()

    @property
    def steps(self) -> int:
        """Denoising steps per frame."""
        return len(self.dream.session.sigmas)

    # -- a world is a value

    def panorama(self) -> Frame:
        """What the world remembers all round, uint8 (H, 2H, 3)."""
        self._check_begun("panorama")
        shown: Frame = self.dream.session.panorama()[0]
        return shown

    def save_state(self) -> bytes:
        """The episode as it stands: frames, caches, task counters, random numbers. No pickle."""
        self._check_begun("save_state")
        return self.dream.save({"rng": self.np_random.bit_generator.state})

    def load_state(self, state: bytes) -> Frame:
        """Continue from `save_state`'s bytes; returns the frame that was on show."""
        extra = self.dream.load(state)
        self.np_random.bit_generator.state = extra["rng"]
        self._begun = True
        if self._log is not None:
            self._log.load()
        return self._shown()

    def undo(self, count: int = 1) -> Frame:
        """Take back `count` steps, at most the world's window; returns the frame then on show."""
        self._check_begun("undo")
        self.dream.undo(count)
        if self._log is not None:
            self._log.undo(count)
        return self._shown()

    def fork(self, count: int) -> "NFDVectorEnv":
        """`count` lanes that go on from here in one batch, to try actions; this env stays."""
        from nfd_gym.envs.vector_env import NFDVectorEnv

        self._check_begun("fork")
        return NFDVectorEnv.from_dream(self.dream.fork(count))

    @property
    def timings(self) -> Mapping[str, float]:
        """Milliseconds of the last step."""
        return self.dream.session.timings

    def _shown(self) -> Frame:
        if self.render_mode == "human":
            self.render()
        return np.array(self.dream.observation()[0].cpu().numpy())

    def _check_begun(self, what: str) -> None:
        if not self._begun:
            raise ResetNeeded(f"call reset() before {what}().")
