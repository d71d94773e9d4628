"""Dream: B episodes in one Session, with what Gymnasium asks of each: rewards, ends, infos.

`NFDEnv` is the case of one, `NFDVectorEnv` the other; this is everything that they share.
"""

import copy
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.data.clip import Event
from nfd_gym.envs.config import DreamSettings, ResetResult, StepResult
from nfd_gym.envs.options import own_start
from nfd_gym.envs.tasks import Facts, Task, make_task
from nfd_gym.errors import UsageError
from nfd_gym.runtime.checks import depth_units
from nfd_gym.runtime.open_world import open_world
from nfd_gym.runtime.resize import resize
from nfd_gym.runtime.session import Session
from nfd_gym.runtime.starts import start_anywhere, starts_of
from nfd_gym.runtime.state import StateError
from nfd_gym.world import World, WorldError

MAGIC = b"nfd_gym env 2\n"


class Dream:
    """B environments: a Session, a task and a step counter each."""

    def __init__(
        self,
        world: str | Path | World,
        num_envs: int,
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
        self.tasks = [self._task() for _ in range(num_envs)]
        self.starts = starts_of(self.world)
        if how.start_index or how.num_starts is not None or how.split is not None:
            self._range()
        self.session = session or Session(
            self.world, num_envs=num_envs, engine=how.engine, steps=how.steps,
            speculate=how.speculate, device=how.device,
        )  # fmt: skip
        self._watches = any(getattr(task, "needs_frame", False) for task in self.tasks)
        self.elapsed = np.zeros(num_envs, np.int64)
        self.begun: dict[int, ResetResult] = {}
        self._past: deque[tuple[list[Any], NDArray[np.int64]]]
        self._past = deque(maxlen=self.session.undo_limit)
        if how.max_drift is not None and self.world.drift is None:
            raise WorldError(
                f"max_drift needs statistics of real frames and world {self.world.name!r} has "
                "none; export it again or leave max_drift out."
            )
        if how.depth and not self.world.has_depth:
            raise WorldError(f"world {self.world.name!r} has no depth; leave depth out.")

    @property
    def num_envs(self) -> int:
        return self.session.num_envs

    # -- running

    def reset(
        self,
        rngs: Sequence[np.random.Generator],
        options: Mapping[str, Any],
        mask: NDArray[np.bool_],
    ) -> list[dict[str, Any]]:
        """Begin new episodes where `mask` says; returns the infos of those, in order."""
        own = own_start(options, self.codec, self.action_space, self.world)
        begun: dict[int, ResetResult] = {}
        for env in map(int, np.flatnonzero(mask)):
            seed = int(rngs[env].integers(2**63 - 1))  # first, so options do not change the noise
            drawn = None if own is None else ResetResult(own, seed, None)
            begun[env] = drawn or self._drawn(rngs[env], options.get("start"), seed)
        for length in {len(one.start.frames) for one in begun.values()}:
            self._begin({k: one for k, one in begun.items() if len(one.start.frames) == length})
        self.begun |= begun
        self.elapsed = np.where(mask, 0, self.elapsed)
        self._past.clear()
        eyes, drift = self._eyes(), self._drift()
        for env in begun:
            self.tasks[env].reset(Facts(_position(eyes[env]), (), self._frame(env)))
        return [self._info(env, eyes, [], drift, {}) for env in begun]

    def step(self, vectors: NDArray[np.float32]) -> StepResult:
        """Codec vectors (B, A) held for `frame_skip` ticks; what follows an episode's end on the
        way counts for nothing."""
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        terms: list[dict[str, float]] = [{} for _ in self.tasks]
        happened: list[list[dict[str, Any]]] = [[] for _ in self.tasks]
        most = self.how.max_episode_steps or np.inf
        for tick in range(self.how.frame_skip):
            before = (self._task_states(), self.elapsed)
            self.session.advance(vectors, self._watches or tick == self.how.frame_skip - 1)
            self._past.append(before)
            self.elapsed = self.elapsed + 1
            eyes, events = self._eyes(), self._events()
            for env in map(int, np.flatnonzero(~(terminated | truncated))):
                new = [Event.from_info(int(self.elapsed[env]), one) for one in events[env]]
                facts = Facts(
                    _position(eyes[env]), new, self._frame(env), vectors[env], self._pose(env)
                )
                reward, terminated[env], terms[env] = self.tasks[env].step(facts)
                rewards[env] += reward
                happened[env] += events[env]
            truncated |= (self.elapsed >= most) & ~terminated
        drift = self._drift()
        infos = [
            self._info(env, eyes, happened[env], drift, terms[env]) for env in range(self.num_envs)
        ]
        if self.how.max_drift is not None and drift is not None:
            truncated |= drift > self.how.max_drift
        return StepResult(rewards, terminated, truncated, infos)

    def encode(self, action: Any) -> NDArray[np.float32]:
        """The codec vector of an action of this env's space, strictly."""
        vector = self.codec.encode(action)
        space: Any = self.action_space
        if isinstance(space, gymnasium.spaces.Dict):
            space, action = space["camera"], action.get("camera", (0.0, 0.0))
        if isinstance(space, gymnasium.spaces.Box):
            values = np.asarray(action)
            if ((values < space.low - 1e-5) | (values > space.high + 1e-5)).any():
                raise UsageError(
                    f"action {values.tolist()} is outside the space {space}; clip it to the bounds."
                )
        return vector

    def observation(self) -> Tensor:
        """The frames on show as observations, uint8 (B, height, width, 3) on the device."""
        height, width, _ = self.observation_space.shape
        return resize(self.session.state.frame, (width, height))

    def from_memory(self, what: str) -> Any:
        """`map` or `points` of the world's memory, where it offers them."""
        offer = getattr(self.world.memory, what, None)
        if offer is None:
            raise WorldError(
                f"the memory of world {self.world.name!r} (kind {self.world.memory.kind!r}) has no "
                f"{what}; use a world with a memory of points."
            )
        state = self.session.state
        return offer(state.memory, state.pose)

    # -- states

    def undo(self, count: int) -> None:
        count *= self.how.frame_skip
        self.session.undo(count)
        for _ in range(count):
            states, self.elapsed = self._past.pop()
        self._set_task_states(states)

    def save(self, extra: Mapping[str, Any]) -> bytes:
        """All environments as bytes, with JSON-able `extra`."""
        facts = {
            "tasks": self._task_states(),
            "names": [task.name for task in self.tasks],
            "elapsed": self.elapsed.tolist(),
            "extra": dict(extra),
        }
        return MAGIC + json.dumps(facts).encode() + b"\n" + self.session.save()

    def load(self, state: bytes, check: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Continue from `save`'s bytes; returns its `extra`, which `check` may refuse. A refused
        state changes nothing."""
        head, found, rest = bytes(state).partition(b"\n")
        if head + b"\n" != MAGIC or not found:
            raise StateError(
                "these bytes are no state of this version's env; give load_state what save_state "
                "of the same nfd_gym returned."
            )
        line, _, frames = rest.partition(b"\n")
        mine = [task.name for task in self.tasks]
        try:
            facts = json.loads(line)
            names, states = facts["names"], facts["tasks"]
            elapsed = np.array(facts["elapsed"], np.int64)
            extra = dict(facts["extra"])
            check(extra)
            if names == mine:
                for task, one in zip(self.tasks, states, strict=True):
                    copy.deepcopy(task).set_state(one)
            if elapsed.shape != (self.num_envs,) or (elapsed < 0).any():
                raise UsageError(f"elapsed must be {self.num_envs} counts, got {elapsed.tolist()}")
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise StateError(f"the state's header is damaged ({error}); save it again.") from error
        if names != mine:
            raise StateError(f"the state was saved with tasks {names}, this env has {mine}.")
        self.session.load(frames)
        self._set_task_states(states)
        self.elapsed = elapsed
        self._past.clear()
        return extra

    def fork(self, count: int) -> "Dream":
        """`count` environments that all continue the first, noise included; this one goes on."""
        other = Dream(self.world, count, self.how, self.session.fork(count))
        other._set_task_states(self._task_states()[:1] * count)
        other.elapsed = np.repeat(self.elapsed[:1], count)
        return other

    # -- parts

    def _begin(self, begun: Mapping[int, ResetResult]) -> None:
        mask = np.zeros(self.num_envs, bool)
        mask[list(begun)] = True
        some = next(iter(begun.values()))
        every = [begun.get(env, some) for env in range(self.num_envs)]
        clips = [one.start for one in every]
        self.session.reset(
            np.stack([clip.frames for clip in clips]),
            np.stack([clip.actions for clip in clips]),
            np.stack([clip.depth for clip in clips]),
            np.stack([clip.poses for clip in clips]),
            np.array([one.seed for one in every]),
            mask,
        )

    def _drawn(self, rng: np.random.Generator, index: Any, seed: int) -> ResetResult:
        """The start clip that is asked for, or a drawn one, or a drawn place."""
        if index is None and self.how.starts == "anywhere":
            return ResetResult(start_anywhere(self.world, rng), seed, None)
        if index is None:
            index = rng.choice(self._range())
        return ResetResult(self.starts.clip(int(index)), seed, int(index))

    def _range(self) -> list[int]:
        """Indices of the start clips that episodes begin from."""
        total, first = len(self.starts), self.how.start_index
        count = total - first if self.how.num_starts is None else self.how.num_starts
        if first < 0 or count < 1 or first + count > total:
            raise UsageError(
                f"start_index={first}, num_starts={self.how.num_starts} must lie within the "
                f"{total} start clips of world {self.world.name!r}."
            )
        split, names = self.how.split, self.starts.names
        kept = names if split is None else self.world.splits.get(split, [])
        indices = [index for index in range(first, first + count) if names[index] in kept]
        if not indices:
            raise UsageError(
                f"world {self.world.name!r} has no start clips of the split {split!r} there; its "
                f"splits are {', '.join(self.world.splits) or 'none'}, and without one all begin."
            )
        return indices

    def _info(
        self,
        env: int,
        eyes: list[tuple[float, ...] | None],
        events: list[dict[str, Any]],
        drift: NDArray[np.float64] | None,
        terms: dict[str, float],
    ) -> dict[str, Any]:
        info: dict[str, Any] = {"reward_terms": terms}
        if eyes[env] is not None:
            info["eye"] = eyes[env]
        elif (pose := self._pose(env)) is not None:
            info["pose"] = pose
        if self.world.body.edits:
            info["events"] = events
        if drift is not None:
            info["drift"] = float(drift[env])
        if self.how.depth:
            info["depth"] = depth_units(self.session.state.nearness[env])
        if self.how.speculate != "off":
            info["speculation"] = self.session.speculation
        if self.how.timings:
            info["timings"] = dict(self.session.timings)
        return info

    def _drift(self) -> NDArray[np.float64] | None:
        if self.world.drift is None:
            return None
        return self.world.drift(self.session.state.latents).double().cpu().numpy()

    def _frame(self, env: int) -> NDArray[np.uint8] | None:
        """The frame on show, where the task reads it."""
        if not getattr(self.tasks[env], "needs_frame", False):
            return None
        return np.asarray(self.session.state.frame[env].cpu().numpy())

    def _eyes(self) -> list[tuple[float, ...] | None]:
        """x, y, z of the eye, yaw and pitch; None in worlds without a camera."""
        if not self.world.needs_poses:
            return [None] * self.num_envs
        return [tuple(row) for row in self.session.state.pose.tolist()]

    def _pose(self, env: int) -> tuple[float, ...] | None:
        """The pose that a body carries which reads it from given frames; None in other worlds."""
        if self.world.needs_poses or not self.world.pose_width:
            return None
        return tuple(self.session.state.pose[env].tolist())

    def _events(self) -> list[list[dict[str, Any]]]:
        """What the last action dug or placed, as the real game reports it."""
        names = self.world.body.edits
        if not names:
            return [[] for _ in range(self.num_envs)]
        kinds, cells = (part.tolist() for part in self.session.state.edit)
        events: list[list[dict[str, Any]]] = []
        for kind, cell in zip(kinds, cells, strict=True):
            what, _, node = names[kind - 1].partition(" ") if kind else ("", "", "")
            events.append([{"type": what, "node": node, "pos": cell}] if kind else [])
        return events

    def _task(self) -> Task:
        task = make_task(self.how.task)
        if task is self.how.task:  # an object given by the user: every env counts for itself
            return copy.deepcopy(task)
        for needed, there, what in (
            ("needs_position", self.world.needs_poses, "positions"),
            ("needs_events", bool(self.world.body.edits), "events"),
            ("needs_nodes", "dig" not in self.world.body.edits, "names of dug blocks"),
        ):
            if getattr(task, needed, False) and not there:
                raise WorldError(
                    f"task {task.name!r} needs {what} and world {self.world.name!r} reports none; "
                    "choose another task."
                )
        return task

    def _task_states(self) -> list[Any]:
        """What the tasks depend on, JSON-able."""
        return [task.get_state() for task in self.tasks]

    def _set_task_states(self, states: list[Any]) -> None:
        for task, state in zip(self.tasks, states, strict=True):
            task.set_state(state)


def _position(eye: tuple[float, ...] | None) -> tuple[float, float, float] | None:
    return None if eye is None else (eye[0], eye[1], eye[2])
