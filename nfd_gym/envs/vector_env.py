"""NFDVectorEnv: one model, B dreams in one batch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, iterate
from numpy.typing import NDArray

from nfd_gym.envs.dream import Dream, DreamSettings
from nfd_gym.envs.tasks import Task
from nfd_gym.runtime.threads import keep_memory_mapped
from nfd_gym.world import WorldModel

Infos = dict[str, Any]


class NFDVectorEnv(VectorEnv[Any, Any, Any]):
    """`gym.make_vec("NFD-Minecraft-v0", num_envs=B)`; keyword arguments as for `NFDEnv`, and:

    autoreset_mode   SAME_STEP (default: step returns the new episode's first frame, the last one
                     is in info["final_obs"]), NEXT_STEP, or DISABLED (then reset with
                     options={"reset_mask": ...})
    output           "numpy", or "torch": observations stay on the device as uint8 tensors

    Lane i with seed s + i is the single env with that seed, up to the rounding of batched products.
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": 20,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        world: str | Path | WorldModel,
        num_envs: int = 1,
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
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        output: str = "numpy",
        render_mode: str | None = None,
    ) -> None:
        keep_memory_mapped()
        how = DreamSettings(
            action_space=action_space, task=task, size=size, device=device, engine=engine,
            steps=steps, speculate=speculate, start_index=start_index, num_starts=num_starts,
            max_episode_steps=max_episode_steps, max_drift=max_drift, timings=timings,
        )  # fmt: skip
        self._set_up(
            Dream(world, num_envs, how), AutoresetMode(autoreset_mode), output, render_mode
        )

    @classmethod
    def from_dream(cls, dream: Dream, output: str = "numpy") -> "NFDVectorEnv":
        """Lanes that are already running, as `NFDEnv.fork` makes them; ended lanes stay ended."""
        env = cls.__new__(cls)
        env._set_up(dream, AutoresetMode.DISABLED, output, "rgb_array")
        env._begun = True
        return env

    def _set_up(
        self, dream: Dream, mode: AutoresetMode, output: str, render_mode: str | None
    ) -> None:
        if output not in ("numpy", "torch"):
            raise ValueError(f"output must be 'numpy' or 'torch', got {output!r}.")
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode must be 'rgb_array' or None, got {render_mode!r}.")
        self.dream, self.codec, self.output = dream, dream.codec, output
        self.num_envs = dream.lanes
        self.single_observation_space = dream.observation_space
        self.single_action_space = dream.action_space
        self.observation_space = batch_space(dream.observation_space, dream.lanes)
        self.action_space = batch_space(dream.action_space, dream.lanes)
        self.render_mode = render_mode
        self.autoreset_mode = mode
        self.metadata = {**type(self).metadata, "autoreset_mode": mode}
        self._rngs: list[np.random.Generator | None] = [None] * dream.lanes
        self._ended = np.zeros(dream.lanes, bool)
        self._begun = False

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, Infos]:
        """Begin all lanes, or those of options["reset_mask"]; other options as for `NFDEnv`."""
        given = dict(options or {})
        mask = self._mask(given.pop("reset_mask", None))
        for lane, one in enumerate(self._seeds(seed)):
            if one is not None and mask[lane]:
                self._rngs[lane], _ = seeding.np_random(one)
        infos: Infos = {}
        for lane, info in self._restart(mask, given):
            infos = self._add_info(infos, info, lane)
        return self._observations(), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, Infos]:
        if not self._begun:
            raise ResetNeeded("call reset() before step().")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            lanes = np.flatnonzero(self._ended).tolist()
            raise ResetNeeded(
                f"lanes {lanes} have ended; call reset(options={{'reset_mask': mask}}) first."
            )
        due = self._ended.copy()  # only NEXT_STEP leaves lanes due: their action is ignored
        outcome = self.dream.step(self._vectors(actions, due))
        rewards = np.where(due, 0.0, outcome.rewards)
        terminated, truncated = outcome.terminated & ~due, outcome.truncated & ~due
        ended = terminated | truncated
        again = due
        infos: Infos = {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            again = ended
            frames: Any = self._observations() if ended.any() else ()
            for lane in map(int, np.flatnonzero(ended)):
                last = {"final_obs": frames[lane], "final_info": outcome.infos[lane]}
                infos = self._add_info(infos, last, lane)
        told = dict(enumerate(outcome.infos)) | dict(self._restart(again, {}))
        for lane in range(self.num_envs):
            infos = self._add_info(infos, told[lane], lane)
        self._ended = ended & ~again
        return self._observations(), rewards, terminated, truncated, infos

    def render(self) -> tuple[Any, ...] | None:
        """The frames on show in the world's own size, one per lane."""
        if self.render_mode is None or not self._begun:
            return None
        return tuple(self.dream.session.frame)

    def close_extras(self, **kwargs: Any) -> None:
        if "dream" in self.__dict__:  # __del__ comes here even when the constructor refused
            self.dream.session.close()

    def save_state(self) -> bytes:
        """All lanes as bytes; no pickle."""
        rngs = [None if rng is None else rng.bit_generator.state for rng in self._rngs]
        return self.dream.save({"rngs": rngs, "ended": self._ended.tolist()})

    def load_state(self, state: bytes) -> Any:
        """Continue from `save_state`'s bytes of an env with as many lanes; returns the frames."""
        extra = self.dream.load(state)
        for lane, known in enumerate(extra["rngs"]):
            if known is not None:
                self._rng(lane).bit_generator.state = known
        self._ended, self._begun = np.array(extra["ended"], bool), True
        return self._observations()

    def undo(self, count: int = 1) -> Any:
        """Take back `count` steps of all lanes, not beyond the last reset of any."""
        self.dream.undo(count)
        self._ended[:] = False
        return self._observations()

    # -- what SyncVectorEnv offers too

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The attribute or method `name`, for every lane; what all lanes share is repeated."""
        value = getattr(self, name)
        if callable(value):
            value = value(*args, **kwargs)
        if isinstance(value, tuple) and len(value) == self.num_envs:
            return value
        return (value,) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute of all lanes: they share one env, so all values must be equal."""
        listed = list(values) if isinstance(values, list | tuple) else [values] * self.num_envs
        if len(listed) != self.num_envs:
            raise ValueError(f"set_attr needs {self.num_envs} values, got {len(listed)}.")
        if not hasattr(self, name):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r} to set.")
        if any(value != listed[0] for value in listed[1:]):
            raise ValueError(f"the lanes share one env: {name!r} cannot differ between them.")
        setattr(self, name, listed[0])

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """One generator per lane."""
        return tuple(self._rng(lane) for lane in range(self.num_envs))

    # -- parts

    def _restart(
        self, mask: NDArray[np.bool_], options: dict[str, Any]
    ) -> list[tuple[int, dict[str, Any]]]:
        if not mask.any():
            return []
        infos = self.dream.reset(list(self.np_random), options, mask)
        self._ended = self._ended & ~mask
        self._begun = self._begun or bool(mask.all())
        return list(zip(map(int, np.flatnonzero(mask)), infos, strict=True))

    def _rng(self, lane: int) -> np.random.Generator:
        known = self._rngs[lane]
        if known is None:
            known, _ = seeding.np_random()
            self._rngs[lane] = known
        return known

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int):
            return [seed + lane for lane in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise ValueError(f"{self.num_envs} lanes need as many seeds, got {len(seed)}.")
        return list(seed)

    def _mask(self, mask: Any) -> NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, bool)
        good = isinstance(mask, np.ndarray) and mask.dtype == np.bool_
        if not good or mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(
                f"options['reset_mask'] must be a numpy bool array ({self.num_envs},) with at "
                f"least one True, got {mask!r}."
            )
        return np.asarray(mask)

    def _vectors(self, actions: Any, due: NDArray[np.bool_]) -> NDArray[np.float32]:
        if isinstance(actions, torch.Tensor):
            actions = actions.detach().cpu().numpy()
        listed = list(iterate(self.action_space, actions))
        if len(listed) != self.num_envs:
            raise ValueError(f"{self.num_envs} lanes need as many actions, got {len(listed)}.")
        still = np.zeros(self.codec.width, np.float32)
        return np.stack(
            [still if due[i] else self.dream.encode(action) for i, action in enumerate(listed)]
        )

    def _observations(self) -> Any:
        """A copy of the frames on show: the caller may keep it."""
        frames = self.dream.observation()
        return frames.clone() if self.output == "torch" else np.array(frames.cpu().numpy())
