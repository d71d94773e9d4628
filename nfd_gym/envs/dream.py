"""Dream: B episodes in one Session, with what Gymnasium asks of each: rewards, ends, infos.

`NFDEnv` is the one-lane case, `NFDVectorEnv` the other; this is everything that they share.
"""

import copy
import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.actions import KeysAndMouse
from nfd_gym.envs.options import own_start
from nfd_gym.envs.tasks import DeadReckoning, Facts, Task, make_task
from nfd_gym.runtime.open_world import open_world
from nfd_gym.runtime.resize import resize
from nfd_gym.runtime.session import Session
from nfd_gym.runtime.starts import Start, Starts
from nfd_gym.runtime.state import StateError
from nfd_gym.world import WorldError, WorldModel

MAGIC = b"nfd_gym env 1\n"


@dataclass(frozen=True, kw_only=True)
class DreamSettings:
    """The keyword arguments of both envs, documented at `NFDEnv`."""

    action_space: str | None = None
    task: str | Task | None = None
    size: tuple[int, int] | None = None
    device: str = "cpu"
    engine: str = "auto"
    steps: int | None = None
    speculate: str = "off"
    start_index: int = 0
    num_starts: int | None = None
    max_episode_steps: int | None = None
    max_drift: float | None = None
    timings: bool = False

    def __post_init__(self) -> None:
        if self.max_drift is not None and not self.max_drift > 0:
            raise ValueError(f"max_drift must be above 0 (1 is ordinary), got {self.max_drift}.")
        if self.max_episode_steps is not None and self.max_episode_steps < 1:
            raise ValueError(f"max_episode_steps must be at least 1, got {self.max_episode_steps}.")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ValueError(f"size is (width, height), such as (96, 56), got {self.size!r}.")


@dataclass(frozen=True)
class Beginning:
    """How a lane's episode began."""

    start: Start
    seed: int
    clip: int | None  # the start clip's index; None for the user's own frames


@dataclass(frozen=True)
class Outcome:
    """What one tick did to every lane."""

    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    infos: list[dict[str, Any]]


class Dream:
    """B lanes: a Session, a task and a step counter each."""

    def __init__(
        self,
        world: str | Path | WorldModel,
        lanes: int,
        how: DreamSettings,
        session: Session | None = None,
    ) -> None:
        self.how = how
        self.world = open_world(world, how.device)
        codec = self.world.codec
        self.codec = codec if how.action_space is None else codec.with_preset(how.action_space)
        self.action_space = self.codec.space()
        width, height = how.size or self.world.size
        self.observation_space = gymnasium.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.tasks = [self._task() for _ in range(lanes)]
        self._feet = [self._reckoning() for _ in range(lanes)]
        self.starts = Starts(self.world, how.start_index, how.num_starts)
        self.session = session or Session(
            self.world, lanes=lanes, engine=how.engine, steps=how.steps,
            speculate=how.speculate, device=how.device,
        )  # fmt: skip
        self.elapsed = np.zeros(lanes, np.int64)
        self.begun: dict[int, Beginning] = {}
        self._past: deque[tuple[list[Any], NDArray[np.int64]]] = deque(maxlen=self.session.window)
        try:
            self.meter = self.starts.meter()
        except WorldError:  # a world without start clips is stepped from the user's own frames
            self.meter = None
        if how.max_drift is not None and self.meter is None:
            raise ValueError(
                "max_drift needs start clips to tell what is ordinary, and world "
                f"{self.world.name!r} has too few; leave max_drift out."
            )

    @property
    def lanes(self) -> int:
        return self.session.lanes

    # -- running

    def reset(
        self,
        rngs: Sequence[np.random.Generator],
        options: Mapping[str, Any],
        mask: NDArray[np.bool_],
    ) -> list[dict[str, Any]]:
        """Begin new episodes in the lanes of `mask`; returns the infos of those lanes, in order."""
        own = own_start(options, self.codec, self.action_space, self.world)
        begun: dict[int, Beginning] = {}
        for lane in map(int, np.flatnonzero(mask)):
            seed = int(rngs[lane].integers(2**63 - 1))  # first, so options do not change the noise
            if own is not None:
                begun[lane] = Beginning(own, seed, None)
            else:
                wish = options.get("start")
                index = self.starts.draw(rngs[lane]) if wish is None else int(wish)
                begun[lane] = Beginning(self.starts.clip(index), seed, index)
        for length in {len(one.start.frames) for one in begun.values()}:
            self._begin({k: one for k, one in begun.items() if len(one.start.frames) == length})
        self.begun |= begun
        self.elapsed = np.where(mask, 0, self.elapsed)
        self._past.clear()
        for lane in begun:
            if (feet := self._feet[lane]) is not None:
                feet.reset()
            self.tasks[lane].reset(Facts(self._position(lane, None)))
        return [self._info(lane, self._drift(), {}) for lane in begun]

    def step(self, vectors: NDArray[np.float32]) -> Outcome:
        """One tick of all lanes under codec vectors (B, A)."""
        self._past.append((self._memory(), self.elapsed))
        self.session.advance(vectors)
        self.elapsed = self.elapsed + 1
        drift, beliefs = self._drift(), self._beliefs(vectors)
        rewards = np.zeros(self.lanes)
        terminated = np.zeros(self.lanes, bool)
        infos = []
        for lane, task in enumerate(self.tasks):
            facts = Facts(self._position(lane, vectors[lane]), (), beliefs[lane])
            rewards[lane], terminated[lane], terms = task.step(facts)
            infos.append(self._info(lane, drift, terms))
        truncated = np.zeros(self.lanes, bool)
        if self.how.max_episode_steps is not None:
            truncated |= self.elapsed >= self.how.max_episode_steps
        if self.how.max_drift is not None and drift is not None:
            truncated |= drift > self.how.max_drift
        return Outcome(rewards, terminated, truncated, infos)

    def encode(self, action: Any) -> NDArray[np.float32]:
        """The codec vector of an action of this env's space, strictly."""
        vector = self.codec.encode(action)
        space: Any = self.action_space
        if isinstance(space, gymnasium.spaces.Dict):
            space, action = space["camera"], action.get("camera", (0.0, 0.0))
        if isinstance(space, gymnasium.spaces.Box):
            values = np.asarray(action)
            if ((values < space.low - 1e-5) | (values > space.high + 1e-5)).any():
                raise ValueError(
                    f"action {values.tolist()} is outside the space {space}; clip it to the bounds."
                )
        return vector

    def observation(self) -> Tensor:
        """The frames on show as observations, uint8 (B, height, width, 3) on the device."""
        height, width, _ = self.observation_space.shape
        return resize(self.session.now.frame, (width, height))

    # -- states

    def undo(self, count: int) -> None:
        self.session.undo(count)
        for _ in range(count):
            memory, self.elapsed = self._past.pop()
        self._remember(memory)

    def save(self, extra: Mapping[str, Any]) -> bytes:
        """The lanes as bytes, with JSON-able `extra`."""
        facts = {
            "tasks": self._memory(),
            "names": [task.name for task in self.tasks],
            "elapsed": self.elapsed.tolist(),
            "extra": dict(extra),
        }
        return MAGIC + json.dumps(facts).encode() + b"\n" + self.session.save()

    def load(self, state: bytes) -> dict[str, Any]:
        """Continue from `save`'s bytes; returns its `extra`."""
        head, found, rest = bytes(state).partition(b"\n")
        if head + b"\n" != MAGIC or not found:
            raise StateError(
                "these bytes are no state of this version's env; give load_state what save_state "
                "of the same nfd_gym returned."
            )
        line, _, frames = rest.partition(b"\n")
        try:
            facts = json.loads(line)
            names, memory, elapsed = facts["names"], facts["tasks"], facts["elapsed"]
            extra = dict(facts["extra"])
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"the state's header is damaged ({error}); save it again.") from error
        mine = [task.name for task in self.tasks]
        if names != mine:
            raise StateError(f"the state was saved with tasks {names}, this env has {mine}.")
        self.session.load(frames)
        self._remember(memory)
        self.elapsed = np.array(elapsed, np.int64)
        self._past.clear()
        return extra

    def fork(self, count: int) -> "Dream":
        """`count` lanes that all continue lane 0, noise included; this one goes on untouched."""
        other = Dream(self.world, count, self.how, self.session.fork(count))
        other._remember(self._memory()[:1] * count)
        other.elapsed = np.repeat(self.elapsed[:1], count)
        return other

    # -- parts

    def _begin(self, begun: Mapping[int, "Beginning"]) -> None:
        mask = np.zeros(self.lanes, bool)
        mask[list(begun)] = True
        some = next(iter(begun.values()))
        all_lanes = [begun.get(lane, some) for lane in range(self.lanes)]
        clips = [one.start for one in all_lanes]
        seeds = np.array([one.seed for one in all_lanes])
        self.session.reset(
            np.stack([clip.frames for clip in clips]),
            np.stack([clip.actions for clip in clips]),
            np.stack([clip.pitch for clip in clips]),
            seeds,
            mask,
        )

    def _info(
        self, lane: int, drift: NDArray[np.float64] | None, terms: dict[str, float]
    ) -> dict[str, Any]:
        info: dict[str, Any] = {"pitch": float(self.session.now.pitch[lane]), "reward_terms": terms}
        if drift is not None:
            info["drift"] = float(drift[lane])
        if self.how.speculate != "off":
            info["speculation"] = self.session.speculation
        if self.how.timings:
            info["timings"] = dict(self.session.timings)
        return info

    def _drift(self) -> NDArray[np.float64] | None:
        if self.meter is None:
            return None
        return self.meter(self.session.now.latents).double().cpu().numpy()

    @torch.no_grad()
    def _beliefs(self, vectors: NDArray[np.float32]) -> list[dict[str, float]]:
        """What the heads believe happened, per lane: an event counts from 0.5 on."""
        heads = self.world.heads
        if heads is None or self.how.task is None:
            return [{} for _ in range(self.lanes)]
        now = self.session.now
        actions = torch.from_numpy(vectors).to(now.glimpses.device)
        belief = heads(now.glimpses, actions).sigmoid().cpu()
        return [dict(zip(heads.config.events, row, strict=True)) for row in belief.tolist()]

    def _position(
        self, lane: int, vector: NDArray[np.float32] | None
    ) -> tuple[float, float, float] | None:
        feet = self._feet[lane]
        if feet is None:
            return None
        return (0.0, 0.0, 0.0) if vector is None else feet.step(vector)

    def _task(self) -> Task:
        task = make_task(self.how.task)
        if task is self.how.task:  # an object given by the user: every lane counts for itself
            task = copy.deepcopy(task)
        if self.how.task is not None and not task.needs_position:
            heads = self.world.heads
            if heads is None or task.name not in heads.config.events:
                raise ValueError(
                    f"task {task.name!r} needs reward heads and world {self.world.name!r} has none "
                    "for it; train them with `python -m nfd_gym train heads`."
                )
        return task

    def _reckoning(self) -> DeadReckoning | None:
        if not self.tasks[0].needs_position:
            return None
        if not isinstance(self.codec, KeysAndMouse):
            raise ValueError(
                f"task {self.tasks[0].name!r} needs positions, and a world with "
                f"{self.codec.kind} actions has none; choose another task."
            )
        return DeadReckoning(self.codec)

    def _memory(self) -> list[Any]:
        """What tasks and dead reckoning remember, JSON-able, per lane."""
        return [
            [task.memory(), None if feet is None else feet.memory()]
            for task, feet in zip(self.tasks, self._feet, strict=True)
        ]

    def _remember(self, memory: list[Any]) -> None:
        for task, feet, (counters, place) in zip(self.tasks, self._feet, memory, strict=True):
            task.remember(counters)
            if feet is not None:
                feet.remember(place)
