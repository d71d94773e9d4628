"""NFDVectorEnv: one world, B environments in one batch."""

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

from nfd_gym.envs.config import DreamSettings, check_rng
from nfd_gym.envs.dream import Dream
from nfd_gym.errors import UsageError
from nfd_gym.settings import nearest
from nfd_gym.world import World

Infos = dict[str, Any]
PER_ENV = ("np_random", "np_random_seed")  # attributes that hold one value per env


class NFDVectorEnv(VectorEnv[Any, Any, Any]):
    """`gym.make_vec(id, num_envs=B)`; keyword arguments as for `NFDEnv` but for its log, and:

    autoreset_mode   SAME_STEP (the default, not Gymnasium's: step returns the new episode's first
                     frame, the last one is in info["final_obs"]), NEXT_STEP, or DISABLED (then
                     reset with options={"reset_mask": ...})
    output           "numpy", or "torch": observations stay on the device as uint8 tensors

    Env i with seed s + i is the single env with that seed, up to the rounding of batched products.
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": 20,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        world: str | Path | World,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        output: str = "numpy",
        render_mode: str | None = None,
        **options: Any,
    ) -> None:
        dream = Dream(world, num_envs, DreamSettings.of(options))
        self._set_up(dream, _mode(autoreset_mode), output, render_mode)

    @classmethod
    def from_dream(cls, dream: Dream, output: str = "numpy") -> "NFDVectorEnv":
        """Envs that are already running, as `NFDEnv.fork` makes them; ended ones stay ended."""
        env = cls.__new__(cls)
        env._set_up(dream, AutoresetMode.DISABLED, output, "rgb_array")
        env._begun = True
        return env

    def _set_up(
        self, dream: Dream, mode: AutoresetMode, output: str, render_mode: str | None
    ) -> None:
        if output not in ("numpy", "torch"):
            raise UsageError(f"output must be 'numpy' or 'torch', got {output!r}.")
        if render_mode not in (None, "rgb_array"):
            raise UsageError(f"render_mode must be 'rgb_array' or None, got {render_mode!r}.")
        self.dream, self.codec, self.output = dream, dream.codec, output
        self.num_envs = dream.num_envs
        self.single_observation_space = dream.observation_space
        self.single_action_space = dream.action_space
        self.observation_space = batch_space(dream.observation_space, dream.num_envs)
        self.action_space = batch_space(dream.action_space, dream.num_envs)
        self.render_mode = render_mode
        self.autoreset_mode = mode
        fps = round(dream.world.settings.fps)
        self.metadata = {**type(self).metadata, "autoreset_mode": mode, "render_fps": fps}
        self._given_seeds: list[int | None] = [None] * dream.num_envs
        self._rngs: list[np.random.Generator | None] = [None] * dream.num_envs
        self._ended = np.zeros(dream.num_envs, bool)
        self._begun = False

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, Infos]:
        """Begin all, or those of options["reset_mask"]; other options as for `NFDEnv`."""
        given = dict(options or {})
        mask = self._mask(given.pop("reset_mask", None))
        for env, one in enumerate(self._seeds(seed)):
            if one is not None and mask[env]:
                self._rngs[env], self._given_seeds[env] = seeding.np_random(one)
        infos: Infos = {}
        for env, info in self._restart(mask, given):
            infos = self._add_info(infos, _arrays(info), env)
        return self._observations(), infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, Infos]:
        if not self._begun:
            raise ResetNeeded("call reset() before step().")
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            ended_envs = np.flatnonzero(self._ended).tolist()
            raise ResetNeeded(
                f"envs {ended_envs} have ended; call reset(options={{'reset_mask': mask}}) first."
            )
        due = self._ended.copy()  # only NEXT_STEP leaves envs due: their action is ignored
        outcome = self.dream.step(self._vectors(actions, due))
        rewards = np.where(due, 0.0, outcome.rewards)
        terminated, truncated = outcome.terminated & ~due, outcome.truncated & ~due
        ended = terminated | truncated
        again = due
        infos: Infos = {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            again = ended
            frames: Any = self._observations() if ended.any() else ()
            for env in map(int, np.flatnonzero(ended)):
                last = {"final_obs": frames[env], "final_info": _arrays(outcome.infos[env])}
                infos = self._add_info(infos, last, env)
        current = dict(enumerate(outcome.infos)) | dict(self._restart(again, {}))
        for env in range(self.num_envs):
            infos = self._add_info(infos, _arrays(current[env]), env)
        self._ended = ended & ~again
        return self._observations(), rewards, terminated, truncated, infos

    def render(self) -> tuple[Any, ...] | None:
        """The frames on show in the world's own size, one per env."""
        if self.render_mode is None or not self._begun:
            return None
        return tuple(self.dream.session.frame)

    def close_extras(self, **kwargs: Any) -> None:
        if "dream" in self.__dict__:  # __del__ comes here even when the constructor refused
            self.dream.session.close()

    def save_state(self) -> bytes:
        """All envs as bytes; no pickle."""
        rngs = [None if rng is None else rng.bit_generator.state for rng in self._rngs]
        return self.dream.save({"rngs": rngs, "ended": self._ended.tolist()})

    def load_state(self, state: bytes) -> Any:
        """Continue from `save_state`'s bytes of as many envs; returns the frames."""
        extra = self.dream.load(state, self._check_extra)
        for env, known in enumerate(extra["rngs"]):
            if known is not None:
                self._rng(env).bit_generator.state = known
        self._ended, self._begun = np.array(extra["ended"], bool), True
        return self._observations()

    def undo(self, count: int = 1) -> Any:
        """Take back `count` steps of all envs, not beyond the last reset of any."""
        self.dream.undo(count)
        self._ended[:] = False
        return self._observations()

    # -- what SyncVectorEnv offers too

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The attribute or method `name`, for every env: what methods return as a tuple of one per
        env is taken so, everything else is shared and repeated."""
        value = getattr(self, name)
        if not callable(value):
            return value if name in PER_ENV else (value,) * self.num_envs
        value = value(*args, **kwargs)
        if isinstance(value, tuple) and len(value) == self.num_envs:
            return value
        return (value,) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute of all: they share one env, so all values must be equal."""
        listed = list(values) if isinstance(values, list | tuple) else [values] * self.num_envs
        if len(listed) != self.num_envs:
            raise UsageError(f"set_attr needs {self.num_envs} values, got {len(listed)}.")
        if not hasattr(self, name):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r} to set.")
        if any(not np.array_equal(value, listed[0]) for value in listed[1:]):
            raise UsageError(f"the envs share one object: {name!r} cannot differ between them.")
        setattr(self, name, listed[0])

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """One generator per env."""
        return tuple(self._rng(env) for env in range(self.num_envs))

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed that each generator began with."""
        self.np_random  # noqa: B018  generators that nobody seeded draw their seed now
        return tuple(-1 if seed is None else int(seed) for seed in self._given_seeds)

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

    def _check_extra(self, extra: dict[str, Any]) -> None:
        for known in extra["rngs"]:
            if known is not None:
                check_rng(known)
        if len(extra["rngs"]) != self.num_envs or len(extra["ended"]) != self.num_envs:
            raise UsageError(f"it is not of {self.num_envs} envs")

    def _rng(self, env: int) -> np.random.Generator:
        known = self._rngs[env]
        if known is None:
            known, self._given_seeds[env] = seeding.np_random()
            self._rngs[env] = known
        return known

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + env for env in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise UsageError(f"{self.num_envs} envs need as many seeds, got {len(seed)}.")
        return [None if one is None else int(one) for one in seed]

    def _mask(self, mask: Any) -> NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, bool)
        good = isinstance(mask, np.ndarray) and mask.dtype == np.bool_
        if not good or mask.shape != (self.num_envs,) or not mask.any():
            raise UsageError(
                f"options['reset_mask'] must be a numpy bool array ({self.num_envs},) with at "
                f"least one True, got {mask!r}."
            )
        return np.asarray(mask)

    def _vectors(self, actions: Any, due: NDArray[np.bool_]) -> NDArray[np.float32]:
        if isinstance(actions, torch.Tensor):
            actions = actions.detach().cpu().numpy()
        listed = list(iterate(self.action_space, actions))
        if len(listed) != self.num_envs:
            raise UsageError(f"{self.num_envs} envs need as many actions, got {len(listed)}.")
        still = np.zeros(self.codec.width, np.float32)
        return np.stack(
            [still if due[i] else self.dream.encode(action) for i, action in enumerate(listed)]
        )

    def _observations(self) -> Any:
        """A copy of the frames on show: the caller may keep it."""
        frames = self.dream.observation()
        return frames.clone() if self.output == "torch" else np.array(frames.cpu().numpy())


def _mode(mode: AutoresetMode | str) -> AutoresetMode:
    known = [one.value for one in AutoresetMode]
    if not isinstance(mode, AutoresetMode) and mode not in known:
        raise UsageError(f"no autoreset_mode {mode!r}; did you mean {nearest(mode, known)!r}?")
    return AutoresetMode(mode)


def _arrays(info: dict[str, Any]) -> dict[str, Any]:
    """An info whose eye can be stacked."""
    return info | {
        name: np.array(info[name], np.float32) for name in ("eye", "pose") if name in info
    }
