"""SB3Vec: a Gymnasium vector env, NFDVectorEnv above all, as a Stable-Baselines3 VecEnv."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from gymnasium import Space, spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from nfd_gym.errors import UsageError

Frames = NDArray[np.uint8]
Indices = int | Iterable[int] | None
PER_LANE = ("np_random", "np_random_seed")  # attributes of a vector env with a value per lane


class SB3Vec(VecEnv):
    """Lanes of a vector env in SAME_STEP mode, each action held for `repeat` ticks.

    Rewards of the held ticks add up. A lane that ends on the way rests for what is left of them, so
    that no reward of the next episode is credited to the last action of the one before.

    At an end, as SB3 wants it: the observation is the new episode's, infos[i] are the old one's
    with "terminal_observation" and "TimeLimit.truncated", reset_infos[i] are the new one's.
    """

    def __init__(self, lanes: VectorEnv[Any, Any, Any], repeat: int = 1) -> None:
        mode = lanes.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise UsageError(
                f"Stable-Baselines3 needs autoreset_mode=AutoresetMode.SAME_STEP, got {mode}."
            )
        if repeat < 1:
            raise UsageError(f"repeat is a number of ticks, at least 1, got {repeat}.")
        refuse_dict(lanes.single_action_space)
        self.lanes, self.repeat = lanes, repeat  # before super, which asks for render_mode
        # The lanes' own envs (SyncVectorEnv), or None where one env holds them all.
        self._apart: Sequence[Any] | None = getattr(lanes, "envs", None)
        super().__init__(lanes.num_envs, lanes.single_observation_space, lanes.single_action_space)
        self._held: NDArray[Any] | None = None
        codecs = self.get_attr("codec") if self.has_attr("codec") else None
        self._rest = None if codecs is None else codecs[0].noop()

    def reset(self) -> Frames:
        seeds = None if all(seed is None for seed in self._seeds) else self._seeds
        if any(one != self._options[0] for one in self._options):
            raise UsageError(
                "the lanes of one vector env take the same reset options; pass one dict."
            )
        frames, told = self.lanes.reset(seed=seeds, options=self._options[0] or None)
        self.reset_infos = lane_infos(told, self.num_envs)
        self._reset_seeds()
        self._reset_options()
        return frames

    def step_async(self, actions: NDArray[Any]) -> None:
        self._held = actions

    def step_wait(
        self,
    ) -> tuple[Frames, NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        if self._held is None:
            raise RuntimeError("call step_async(actions) before step_wait().")
        actions, self._held = np.array(self._held), None
        rewards = np.zeros(self.num_envs, np.float32)
        dones = np.zeros(self.num_envs, bool)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for tick in range(self.repeat):
            frames, gained, terminated, truncated, told = self.lanes.step(actions)
            running, ended = ~dones, terminated | truncated
            rewards += np.where(running, gained, 0.0).astype(np.float32)
            for lane in map(int, np.flatnonzero(ended)):
                self.reset_infos[lane] = one_info(told, lane, skip=("final_obs", "final_info"))
                if running[lane]:
                    infos[lane] = {
                        **one_info(told["final_info"], lane),
                        "terminal_observation": np.array(told["final_obs"][lane]),
                        "TimeLimit.truncated": bool(truncated[lane] and not terminated[lane]),
                    }
            dones |= ended
            if tick == self.repeat - 1:
                for lane in map(int, np.flatnonzero(~dones)):
                    infos[lane] = one_info(told, lane)
            elif self._rest is not None:
                actions[ended] = self._rest
        return frames, rewards, dones, infos

    def get_images(self) -> Sequence[Frames | None]:
        """The pictures on show in the env's own size, one per lane."""
        shown = self.lanes.render()
        return [None] * self.num_envs if shown is None else list(shown)

    def close(self) -> None:
        self.lanes.close()

    # -- attributes and methods of the lanes

    def get_attr(self, attr_name: str, indices: Indices = None) -> list[Any]:
        chosen = self._get_indices(indices)
        if self._apart is not None:
            return [self._apart[lane].get_wrapper_attr(attr_name) for lane in chosen]
        value = getattr(self.lanes, attr_name)
        return [value[lane] if attr_name in PER_LANE else value for lane in chosen]

    def set_attr(self, attr_name: str, value: Any, indices: Indices = None) -> None:
        if self._apart is not None:
            for lane in self._get_indices(indices):
                self._apart[lane].set_wrapper_attr(attr_name, value)
        else:
            self._refuse_some(attr_name, indices)
            values = [value] * self.num_envs
            self.lanes.set_attr(attr_name, values)  # type: ignore[attr-defined]

    def env_method(
        self, method_name: str, *method_args: Any, indices: Indices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Call a method of the chosen lanes; an env that holds all of them is called once."""
        if self._apart is not None:
            chosen = [self._apart[lane] for lane in self._get_indices(indices)]
            return [
                env.get_wrapper_attr(method_name)(*method_args, **method_kwargs) for env in chosen
            ]
        self._refuse_some(method_name, indices)
        return list(self.lanes.call(method_name, *method_args, **method_kwargs))  # type: ignore[attr-defined]

    def _refuse_some(self, name: str, indices: Indices) -> None:
        if len(set(self._get_indices(indices))) != self.num_envs:
            raise UsageError(f"the lanes share one env: {name!r} is for all of them or for none.")

    def env_is_wrapped(self, wrapper_class: Any, indices: Indices = None) -> list[bool]:
        """Wrappers sit around this class (VecMonitor, VecFrameStack), never inside a lane."""
        return [False for _ in self._get_indices(indices)]


def refuse_dict(space: Space[Any]) -> None:
    """SB3 takes Discrete, MultiDiscrete, MultiBinary and Box actions."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        raise UsageError(
            "Stable-Baselines3 takes no Dict actions such as those of action_space='minerl'; make "
            "the env with action_space='multidiscrete' (PPO), 'discrete' (PPO, DQN) or 'box' (PPO, "
            "SAC)."
        )


def lane_infos(told: dict[str, Any], lanes: int) -> list[dict[str, Any]]:
    """Gymnasium's one dict of arrays and masks as one dict per lane."""
    return [one_info(told, lane) for lane in range(lanes)]


def one_info(told: dict[str, Any], lane: int, skip: Sequence[str] = ()) -> dict[str, Any]:
    """What the vector env's infos say about one lane."""
    out: dict[str, Any] = {}
    for key, values in told.items():
        mask = told.get(f"_{key}")
        if mask is not None and mask[lane] and key not in skip:
            out[key] = one_info(values, lane) if isinstance(values, dict) else values[lane]
    return out
