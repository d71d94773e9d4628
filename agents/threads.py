"""ThreadVectorEnv: real games side by side, each a process that Python only waits for."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array, iterate
from numpy.typing import NDArray

from nfd_gym.games.luanti.gate import GameDied

Tick = tuple[Any, float, bool, bool, dict[str, Any]]


class ThreadVectorEnv(SyncVectorEnv):
    """SyncVectorEnv in SAME_STEP mode whose lanes reset and step at the same time.

    A game that dies costs its episode, not the training: the lane is truncated and begins anew, its
    last info says {"game_died": True}.
    """

    def __init__(self, env_fns: Sequence[Callable[[], gymnasium.Env[Any, Any]]]) -> None:
        self._pool = ThreadPoolExecutor(len(env_fns), "lane")  # first: an env may refuse
        super().__init__(env_fns, autoreset_mode=AutoresetMode.SAME_STEP)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        if isinstance(seed, int):
            seed = [seed + lane for lane in range(self.num_envs)]
        seeds = [None] * self.num_envs if seed is None else list(seed)
        begun = self._pool.map(
            lambda env, one: env.reset(seed=one, options=options), self.envs, seeds
        )
        infos: dict[str, Any] = {}
        for lane, (frame, info) in enumerate(begun):
            self._env_obs[lane] = frame
            infos = self._add_info(infos, info, lane)
        return self._batch(), infos

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        ticks = list(
            self._pool.map(self._tick, range(self.num_envs), iterate(self.action_space, actions))
        )
        infos: dict[str, Any] = {}
        for lane, (tick, begun) in enumerate(ticks):
            frame, info = tick[0], tick[4]
            if begun is not None:
                infos = self._add_info(infos, {"final_obs": frame, "final_info": info}, lane)
                frame, info = begun
            self._env_obs[lane] = frame
            infos = self._add_info(infos, info, lane)
        rewards, terminated, truncated = (
            np.array([tick[part] for tick, _ in ticks], kind)
            for part, kind in ((1, np.float64), (2, np.bool_), (3, np.bool_))
        )
        return self._batch(), rewards, terminated, truncated, infos

    def close_extras(self, **kwargs: Any) -> None:
        self._pool.shutdown()
        super().close_extras(**kwargs)

    def _tick(self, lane: int, action: Any) -> tuple[Tick, tuple[Any, dict[str, Any]] | None]:
        env = self.envs[lane]
        try:
            tick: Tick = env.step(action)  # type: ignore[assignment]
        except GameDied as error:
            print(f"lane {lane}: {error}")
            tick = (self._env_obs[lane], 0.0, False, True, {"game_died": True})
        return tick, env.reset() if tick[2] or tick[3] else None

    def _batch(self) -> Any:
        empty = create_empty_array(self.single_observation_space, self.num_envs)
        return concatenate(self.single_observation_space, self._env_obs, empty)
