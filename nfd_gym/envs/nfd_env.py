"""NFDEnv: a learned world as a Gymnasium env."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from nfd_gym.envs.config import DreamSettings, check_rng
from nfd_gym.envs.dream import Dream
from nfd_gym.envs.window import Window
from nfd_gym.errors import UsageError
from nfd_gym.runtime.replay import Log
from nfd_gym.world import World

if TYPE_CHECKING:
    from nfd_gym.envs.vector_env import NFDVectorEnv

Frame = NDArray[np.uint8]


class NFDEnv(gymnasium.Env[Frame, Any]):
    """A learned world: the observation is the next frame that it draws, uint8 (height, width, 3).

    world          a folder, the name of a shipped world, or a World
    action_space   a preset of the world's codec, such as multidiscrete, discrete, box or minerl
    task           explore, travel, dig, tower, goto-tower, "module:Class", a Task object, or None:
                   reward 0 (envs/tasks.py)
    size           (width, height) of the observation, area-averaged; default the world's own
    device, engine where and how frames are drawn; engine "auto" takes the fastest exact one
    steps          denoising steps per frame, at noise levels that the world was trained at
    speculate      off, ahead, auto (all show the same frames) or parallel, whose frames differ and
                   depend on measured times (runtime/speculate.py)
    starts         "clips": episodes begin from the world's start clips; "anywhere": at a place of
                   the open land, where the world's memory holds one (the island)
    start_index, num_starts   which start clips episodes begin from
    split          "train", "test" or another part that the world has (Crafter: "openings", first
                   pictures of the game): only start clips of it; None: all
    max_episode_steps         truncate after so many ticks; undo, load and fork keep count
    frame_skip     ticks that an action is held: rewards add up, only the last frame is shown, and
                   in a world whose memory draws alone the others are not drawn at all
    max_drift      truncate when the picture is this many times odder than an ordinary real one
    depth          put inverse depth, uint16 (H, W), into info["depth"]
    timings        put milliseconds into info["timings"]; off, because they are never reproducible
    log            write every reset and action to this file, for `nfd-gym replay`

    `info`: reward_terms; eye (x, y, z, yaw, pitch) in worlds with a camera; events, a list of
    {"type", "node", "pos"}; drift; speculation (counts).

    Nothing runs in torch before the first reset; start worker processes before it, or spawn them.
    """

    metadata = {"render_modes": ["human", "rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(
        self,
        world: str | Path | World,
        *,
        log: str | Path | None = None,
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UsageError(
                f"render_mode must be 'human', 'rgb_array' or None, got {render_mode!r}."
            )
        self.dream = Dream(world, 1, DreamSettings.of(options))
        self.codec = self.dream.codec
        self.action_space = self.dream.action_space
        self.observation_space = self.dream.observation_space
        self.metadata = {**type(self).metadata, "render_fps": round(self.dream.world.settings.fps)}
        self.render_mode = render_mode
        self._begun = False
        self._window: Window | None = None
        self._log: Log | None = None
        self.log_to(log)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frame, dict[str, Any]]:
        """Begin from a start clip drawn by the seed, from clip `options["start"]`, or own frames.

        Own frames: options {"frames": uint8 (T,H,W,3), "actions": T actions of this env's space},
        and in worlds with a camera "depth": uint16 (T,H,W) and "eye": (T,5); actions[i] produced
        frames[i], any T >= 1.
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
        if file is not None and self.dream.how.frame_skip > 1:
            raise UsageError("a log holds every tick's frame; log with frame_skip=1.")
        if self._log is not None:
            self._log.close()
        self._log = None if file is None else Log(file, self.dream.session)
        if self._log is not None and self._begun:
            self._log.load()

    @property
    def takes(self) -> tuple[str, ...]:
        """The reset options that describe own frames in this world."""
        world = self.dream.world
        camera = (("depth", world.has_depth), ("eye", world.needs_poses))
        return ("frames", "actions", *(name for name, wanted in camera if wanted))

    @property
    def steps(self) -> int:
        """Denoising steps per frame."""
        return len(self.dream.session.sigmas)

    # -- a world is a value

    def map(self) -> Any:
        """The map that the world remembers, where its memory draws one."""
        self._check_begun("map")
        return self.dream.from_memory("map")

    def points(self) -> Any:
        """The points that the world remembers, where its memory keeps points."""
        self._check_begun("points")
        return self.dream.from_memory("points")

    def save_state(self) -> bytes:
        """The episode as it stands: frames, caches, task counters, random numbers. No pickle."""
        self._check_begun("save_state")
        return self.dream.save({"rng": self.np_random.bit_generator.state})

    def load_state(self, state: bytes) -> Frame:
        """Continue from `save_state`'s bytes; returns the frame that was on show."""
        extra = self.dream.load(state, lambda extra: check_rng(extra["rng"]))
        self.np_random.bit_generator.state = extra["rng"]
        self._begun = True
        if self._log is not None:
            self._log.load()
        return self._shown()

    def undo(self, count: int = 1) -> Frame:
        """Take back `count` steps, at most 20 ticks; returns the frame then on show."""
        self._check_begun("undo")
        self.dream.undo(count)
        if self._log is not None:
            self._log.undo(count)
        return self._shown()

    def fork(self, count: int) -> "NFDVectorEnv":
        """`count` envs that go on from here in one batch, to try actions; this env stays."""
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
