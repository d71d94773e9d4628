"""Session: B running worlds. All rollout state lives here and nowhere else.

A frame goes one way: `step` -> speculation (a hit returns here) -> the engine -> the cache. Equal
states and caches mean equal futures.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nfd_gym.errors import UsageError
from nfd_gym.model.cache import FrameCache
from nfd_gym.noise import noise
from nfd_gym.runtime.checks import Clips, checked_actions, checked_clips, to_tensors
from nfd_gym.runtime.engines.engine import Engine
from nfd_gym.runtime.engines.make import make_engine, resolve
from nfd_gym.runtime.forked import about_to_run
from nfd_gym.runtime.parallel import predict_jointly
from nfd_gym.runtime.speculate import MOST_AHEAD, Speculator
from nfd_gym.runtime.state import from_bytes, in_range, to_bytes
from nfd_gym.world import World
from nfd_gym.world.state import WorldState, named_tensors, put, rebuilt, select, tree_map
from nfd_gym.world.step import drawn_alone, predict, prime, unseen

Frames = NDArray[np.uint8]
UNDO = 20  # steps that a single env can take back; a batch goes back a window


class Snapshot(NamedTuple):
    """What undo goes back to, beside the cache."""

    state: WorldState
    frame_index: NDArray[np.int64]


class Session:
    """Environments in lock-step: one batch, one engine, one call per tick. Nothing runs in torch
    before the first reset or load, so that a process may fork until then."""

    def __init__(
        self,
        world: World,
        *,
        num_envs: int = 1,
        engine: str = "auto",
        steps: int | None = None,
        speculate: str = "off",
        device: str = "cpu",
    ) -> None:
        if num_envs < 1:
            raise UsageError(f"a session needs at least one environment, got {num_envs}.")
        self.world, self.num_envs = world, num_envs
        self.engine_name, self.device = resolve(engine, device, world.denoiser.kind)
        self.sigmas = world.settings.with_steps(steps).sigmas
        self.window = world.denoiser.config.window
        self.undo_limit = max(UNDO, self.window) if num_envs == 1 else self.window
        self.seeds = np.zeros(num_envs, np.int64)
        self.frame_index = np.zeros(num_envs, np.int64)  # frames drawn since each env's reset
        self.timings: dict[str, float] = {}  # milliseconds of the last step, by part
        self._state: WorldState | None = None
        self._started = np.zeros(num_envs, bool)
        self._past: deque[Snapshot] = deque(maxlen=self.undo_limit)
        self._busy = threading.Lock()
        self.speculator = Speculator(
            speculate, num_envs, self._draw, self.draw_jointly, self._truncate
        )

    @cached_property
    def engine(self) -> Engine:
        about_to_run()
        return make_engine(
            self.engine_name, self.world, self.num_envs, len(self.sigmas), str(self.device)
        )

    @cached_property
    def cache(self) -> FrameCache:
        """Spare slots hold what undo goes back to and what speculation drew too early."""
        about_to_run()
        return self.world.denoiser.make_cache(self.num_envs, spare=self.undo_limit + MOST_AHEAD)

    # -- running

    def reset(
        self,
        frames: ArrayLike,
        actions: ArrayLike,
        depth: ArrayLike | None = None,
        poses: ArrayLike | None = None,
        seeds: ArrayLike | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> Frames:
        """Start from frames uint8 (B,T,H,W,3), actions (B,T,A) and, in worlds with a camera, depth
        uint16 (B,T,H,W) and poses (B,T,P); seeds (B,).

        Only the tail of a clip is used. `mask` (B,) restarts those environments alone; what the
        arrays hold for the others is ignored. Returns the last frames (B,H,W,3).
        """
        with self._alone():
            clips = checked_clips(self.world, self.num_envs, frames, actions, depth, poses)
            chosen = np.ones(self.num_envs, bool) if mask is None else np.asarray(mask, bool)
            if chosen.shape != (self.num_envs,) or not chosen.any():
                raise UsageError(
                    f"mask must name at least one of {self.num_envs} environments, got {mask}."
                )
            self.speculator.discard()
            self._past.clear()  # the old pictures of these environments are no past of the new
            if seeds is not None:
                given = np.broadcast_to(np.asarray(seeds, np.int64), self.num_envs)
                self.seeds[chosen] = given[chosen]
            self.frame_index = np.where(chosen, 0, self.frame_index)
            self._prime(np.flatnonzero(chosen), clips)
            self._started |= chosen
            self.speculator.restart()
            return self.frame

    def step(self, actions: ArrayLike) -> Frames:
        """The next frames uint8 (B,H,W,3) under actions (B,A)."""
        self.advance(actions)
        return self.frame

    def advance(self, actions: ArrayLike, shown: bool = True) -> WorldState:
        """As `step`, but everything stays on the engine's device; do not write to it. A frame that
        is not shown is not drawn where no later one hangs on it: the old one stands in for it."""
        with self._alone():
            vectors = checked_actions(self.world, self.num_envs, actions)
            before = self.state
            started = time.perf_counter()
            if shown or self.speculator.mode != "off":
                state = self.speculator.take(vectors)
            else:
                state = self._draw(vectors, shown=False)
            self._past.append(Snapshot(before, self.frame_index))
            self._state, self.frame_index = state, self.frame_index + 1
            self.timings = {"step": 1e3 * (time.perf_counter() - started)}
            self.speculator.look_ahead(vectors)
            return state

    @property
    def state(self) -> WorldState:
        """The frame on show, with all that belongs to it."""
        if self._state is None or not self._started.all():
            waiting = np.flatnonzero(~self._started).tolist()
            raise RuntimeError(f"environments {waiting} have no frame yet; call reset first.")
        return self._state

    @property
    def frame(self) -> Frames:
        """The frames on show, uint8 (B,H,W,3), the caller's to keep."""
        assert self._state is not None
        return np.array(self._state.frame.cpu().numpy())

    @property
    def undoable(self) -> int:
        """How many steps can be taken back now."""
        return len(self._past)

    @property
    def speculation(self) -> dict[str, int]:
        """Counts since the last reset: steps, hits, drawn, discarded; K of the parallel mode."""
        return self.speculator.counts()

    # -- states

    def undo(self, count: int = 1) -> Frames:
        """Go back `count` frames."""
        with self._alone():
            if not 1 <= count <= len(self._past):
                raise UsageError(
                    f"cannot undo {count} frames; {len(self._past)} can be undone now (at most "
                    f"{self.undo_limit}, and none before the last reset or load)."
                )
            self.speculator.discard()
            self._truncate(count)
            for _ in range(count):
                before = self._past.pop()
            self._state, self.frame_index = before
            return self.frame

    def save(self) -> bytes:
        """Everything the future depends on, as bytes."""
        with self._alone():
            state = self.state
            self.speculator.discard()
            return to_bytes(
                {**dict(named_tensors(state)), **self._rest()},
                self._facts() | {"engine": self.engine_name},
            )

    def load(self, data: bytes) -> Frames:
        """Continue from bytes that `save` returned; the past before them cannot be undone."""
        with self._alone():
            about_to_run()
            like = self._state if self._state is not None else self._blank()
            wanted = {**dict(named_tensors(like)), **self._rest()}
            tensors = from_bytes(data, self._facts(), wanted)
            in_range("valid", tensors["valid"], 0, self.window)
            in_range("seeds", tensors["seeds"], 0, 2**63 - 1)
            in_range("frame_index", tensors["frame_index"], 0, 2**62)
            in_range("edit.kind", tensors["edit.kind"], 0, len(self.world.body.edits))
            self.speculator.discard()
            moved = {name: tensor.to(self.device) for name, tensor in tensors.items()}
            self.seeds = tensors["seeds"].numpy().copy()
            self.frame_index = tensors["frame_index"].numpy().copy()
            self.cache.reset()
            self.cache.append(moved["keys"], moved["values"])
            self.cache.valid.copy_(tensors["valid"])
            self._past.clear()
            self._started[:] = True
            self._state = rebuilt(like, moved)
            self.speculator.restart()
            return self.frame

    def fork(self, count: int, env: int = 0) -> "Session":
        """A session of `count` environments that all continue one of this, noise included."""
        with self._alone():
            state = self.state
            self.speculator.discard()
            other = Session(
                self.world,
                num_envs=count,
                engine=self.engine_name,
                steps=len(self.sigmas),
                device=str(self.device),
            )
            for i in range(count):
                other.cache.put(i, self.cache, env)
            other._state = select(state, torch.full((count,), env, dtype=torch.long))
            other._started[:] = True
            other.seeds[:] = self.seeds[env]
            other.frame_index[:] = self.frame_index[env]
            return other

    def close(self) -> None:
        """Stop the background thread, if speculation started one."""
        self.speculator.close()

    # -- drawing

    def _draw(self, vectors: NDArray[np.float32], shown: bool = True) -> WorldState:
        """The state after the present one; the speculator calls it too, from its own thread."""
        if not shown and drawn_alone(self.engine, self.cache):
            return unseen(self.engine, self.state, torch.from_numpy(vectors).to(self.device))
        made = self._noise(range(self.num_envs), self.frame_index + 1 + self.window)
        actions = torch.from_numpy(vectors).to(self.device)
        return predict(self.engine, self.state, actions, made, self.cache)

    def draw_jointly(self, vectors: NDArray[np.float32], count: int) -> list[WorldState]:
        """The next `count` states at once, the action held; in the cache, but not on show."""
        first = self.frame_index + 1 + self.window
        envs = range(self.num_envs)
        made = torch.stack([self._noise(envs, first + k) for k in range(count)], dim=1)
        actions = torch.from_numpy(vectors).to(self.device)
        return predict_jointly(self.engine, self.state, actions, made, self.cache)

    def _truncate(self, frames: int) -> None:
        self.cache.truncate(frames)

    def _noise(self, envs: Iterable[int], address: NDArray[np.int64]) -> Tensor:
        """(len(envs),N,C): each env's noise depends on its own seed and clock alone."""
        shape = (self.world.denoiser.config.tokens, self.world.denoiser.config.channels)
        draws = [noise(int(self.seeds[i]), 0, int(address[i]), 0, shape) for i in envs]
        return torch.from_numpy(np.stack(draws)).to(self.device)

    def _prime(self, envs: NDArray[np.int64], clips: Clips) -> None:
        """Put the tail of clips into `envs`; other environments stay bit for bit."""
        tail = min(clips.frames.shape[1], self.window + 1)
        # Frame 0 of an env's clock is the clip's last; the ones before it count down from there.
        ages = [self.frame_index + self.window - age for age in reversed(range(tail))]
        made = torch.stack([self._noise(envs, address) for address in ages], dim=1)
        beside = self.world.denoiser.make_cache(len(envs))
        frames, nearness, poses, actions = to_tensors(clips, envs, tail, self.device)
        if not self.world.needs_poses:
            poses = self.world.body.read(frames, actions)
        state = prime(self.engine, beside, frames, nearness, poses, actions, made)
        for i, one in enumerate(envs):
            self.cache.put(int(one), beside, i)
        if len(envs) < self.num_envs:
            if self._state is None:  # the others wait for their own reset
                self._state = tree_map(lambda x: x[:1].repeat_interleave(self.num_envs, 0), state)
            state = put(self._state, torch.from_numpy(envs), state)
        self._state = state

    def _blank(self) -> WorldState:
        """A state of the right shapes."""
        (width, height), b = self.world.size, self.num_envs
        plane = (height, width) if self.world.has_depth else (0, 0)
        c, codec = self.world.denoiser.config, self.world.codec
        return prime(
            self.engine,
            self.world.denoiser.make_cache(b),
            torch.zeros(b, 1, height, width, 3, dtype=torch.uint8, device=self.device),
            torch.zeros(b, 1, *plane, device=self.device),
            torch.zeros(b, 1, self.world.pose_width, device=self.device),
            torch.zeros(b, 1, codec.width, device=self.device),
            torch.zeros(b, 1, c.tokens, c.channels, device=self.device),
        )

    def _rest(self) -> dict[str, Tensor]:
        """What a saved state holds beside the world state."""
        order = [(self.cache.end - age) % self.cache.slots for age in range(self.window, 0, -1)]
        return {
            "keys": self.cache.keys[:, :, order],
            "values": self.cache.values[:, :, order],
            "valid": self.cache.valid.clamp_max(self.window),
            "seeds": torch.from_numpy(self.seeds),
            "frame_index": torch.from_numpy(self.frame_index),
        }

    def _facts(self) -> dict[str, Any]:
        """What a state must agree on with the session that loads it."""
        return {"world": self.world.fingerprint, "num_envs": self.num_envs}

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise RuntimeError(
                "this session is in use by another thread; give every thread its own env."
            )
        try:
            yield
        finally:
            self._busy.release()
