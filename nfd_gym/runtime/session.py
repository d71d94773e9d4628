"""Session: B running worlds. All rollout state lives here and nowhere else.

A frame goes one way: `step` -> speculation (a hit returns here) -> the engine -> the cache. The
uint8 picture is what the next step recycles, so equal pictures and caches mean equal futures.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nfd_gym.noise import noise
from nfd_gym.runtime.engine import Drawn, Engine, make_engine, prime
from nfd_gym.runtime.fingerprint import fingerprint
from nfd_gym.runtime.parallel import draw_jointly as jointly
from nfd_gym.runtime.speculate import MOST_AHEAD, Speculator
from nfd_gym.runtime.state import from_bytes, to_bytes
from nfd_gym.world import WorldModel

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Moment:
    """What undo goes back to, beside the cache."""

    drawn: Drawn
    frame_index: NDArray[np.int64]


class Session:
    """Lanes in lock-step: one batch, one engine, one call per tick."""

    def __init__(
        self,
        world: WorldModel,
        *,
        lanes: int = 1,
        engine: str = "auto",
        steps: int | None = None,
        speculate: str = "off",
        device: str = "cpu",
    ) -> None:
        if lanes < 1:
            raise ValueError(f"a session needs at least one lane, got {lanes}.")
        self.world, self.lanes = world, lanes
        self.sigmas = levels(world.settings.sigmas, steps)
        self.engine: Engine = make_engine(engine, world, lanes, self.sigmas, device)
        self.window = world.denoiser.config.window
        # Spare slots hold what undo goes back to and what speculation drew too early.
        self.cache = world.denoiser.make_cache(lanes, spare=self.window + MOST_AHEAD)
        self.seeds = np.zeros(lanes, np.int64)
        self.frame_index = np.zeros(lanes, np.int64)  # frames drawn since each lane's reset
        self.timings: dict[str, float] = {}  # milliseconds of the last step, by part
        self._now = blank(world, lanes, self.engine.device)
        self._started = np.zeros(lanes, bool)
        self._past: deque[Moment] = deque(maxlen=self.window)
        self._busy = threading.Lock()
        self.speculator = Speculator(
            speculate, lanes, self._draw, self.draw_jointly, self.cache.truncate
        )

    # -- running

    def reset(
        self,
        frames: ArrayLike,
        actions: ArrayLike,
        pitch: ArrayLike | None = None,
        seeds: ArrayLike | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> Frames:
        """Start lanes from frames uint8 (B,T,H,W,3), actions (B,T,A), pitch (B,T), seeds (B,).

        Only the tail of a clip is used. `mask` (B,) restarts those lanes alone; what the arrays
        hold for the others is ignored. Returns the last frames (B,H,W,3).
        """
        with self._alone():
            clip = self._checked(np.asarray(frames), np.asarray(actions), pitch)
            chosen = np.ones(self.lanes, bool) if mask is None else np.asarray(mask, bool)
            if chosen.shape != (self.lanes,) or not chosen.any():
                raise ValueError(f"mask must name at least one of {self.lanes} lanes, got {mask}.")
            self.speculator.discard()
            self._past.clear()  # the old pictures of these lanes are no past of the new ones
            if seeds is not None:
                given = np.broadcast_to(np.asarray(seeds, np.int64), self.lanes)
                self.seeds[chosen] = given[chosen]
            self.frame_index = np.where(chosen, 0, self.frame_index)
            self._prime(np.flatnonzero(chosen), *clip)
            self._started |= chosen
            self.speculator.restart()
            return self.frame

    def step(self, actions: ArrayLike) -> Frames:
        """The next frames uint8 (B,H,W,3) under actions (B,A)."""
        self.advance(actions)
        return self.frame

    def advance(self, actions: ArrayLike) -> Tensor:
        """As `step`, but the frames stay on the engine's device; do not write to them."""
        with self._alone():
            vectors = self._checked_actions(np.asarray(actions, np.float32))
            before = self.now
            started = time.perf_counter()
            drawn = self.speculator.take(vectors)
            self._past.append(Moment(before, self.frame_index))
            self._now, self.frame_index = drawn, self.frame_index + 1
            self.timings = {"step": 1e3 * (time.perf_counter() - started)}
            self.speculator.look_ahead(vectors)
            return drawn.frame

    @property
    def now(self) -> Drawn:
        """The frame on show, with what belongs to it."""
        if not self._started.all():
            lanes = np.flatnonzero(~self._started).tolist()
            raise RuntimeError(f"lanes {lanes} have no frame yet; call reset first.")
        return self._now

    @property
    def frame(self) -> Frames:
        """The frames on show, uint8 (B,H,W,3), the caller's to keep."""
        return np.array(self._now.frame.cpu().numpy())

    def panorama(self) -> Frames:
        """What each lane remembers all round, uint8 (B,H,2H,3); its start clip began looking at
        the middle."""
        with self._alone():
            now = self.now
            shown = self.world.panorama(now.memory, now.frame, now.yaw, now.pitch)
            return np.asarray(shown.cpu().numpy())

    @property
    def speculation_mode(self) -> str:
        return self.speculator.mode

    @property
    def speculation(self) -> dict[str, Any]:
        """Counts since the last reset: steps, hits, drawn, discarded; K of the parallel mode."""
        return self.speculator.counts()

    # -- states

    def undo(self, count: int = 1) -> Frames:
        """Go back `count` frames, at most a window."""
        with self._alone():
            if not 1 <= count <= len(self._past):
                raise ValueError(
                    f"cannot undo {count} frames; {len(self._past)} can be undone now (at most the "
                    f"window of {self.window}, and none before the last reset or load)."
                )
            self.speculator.discard()
            self.cache.truncate(count)
            for _ in range(count):
                moment = self._past.pop()
            self._now, self.frame_index = moment.drawn, moment.frame_index
            return self.frame

    def save(self) -> bytes:
        """Everything the future depends on, as bytes."""
        with self._alone():
            self.speculator.discard()
            keys, values = self.cache.keys, self.cache.values
            order = [(self.cache.end - age) % self.cache.slots for age in range(self.window, 0, -1)]
            tensors = {field.name: getattr(self.now, field.name) for field in fields(Drawn)}
            tensors |= {
                "keys": keys[:, :, order],
                "values": values[:, :, order],
                "valid": self.cache.valid.clamp_max(self.window),
                "seeds": torch.from_numpy(self.seeds),
                "frame_index": torch.from_numpy(self.frame_index),
            }
            return to_bytes(tensors, self._facts() | {"engine": self.engine.name})

    def load(self, state: bytes) -> Frames:
        """Continue from bytes that `save` returned; the past before them cannot be undone."""
        with self._alone():
            tensors, _ = from_bytes(state, self._facts())
            self.speculator.discard()
            self._restore(tensors)
            return self.frame

    def fork(self, count: int, lane: int = 0) -> "Session":
        """A session of `count` lanes that all continue one lane of this one, noise included."""
        with self._alone():
            self.speculator.discard()
            other = Session(
                self.world,
                lanes=count,
                engine=self.engine.name,
                steps=len(self.sigmas),
                device=str(self.engine.device),
            )
            for i in range(count):
                other.cache.put(i, self.cache, lane)
            parts = (getattr(self.now, field.name)[lane : lane + 1] for field in fields(Drawn))
            other._now = Drawn(*(part.repeat_interleave(count, dim=0) for part in parts))
            other._started[:] = True
            other.seeds[:] = self.seeds[lane]
            other.frame_index[:] = self.frame_index[lane]
            return other

    def close(self) -> None:
        """Stop the background thread, if speculation started one."""
        self.speculator.close()

    # -- drawing

    def _draw(self, vectors: NDArray[np.float32]) -> Drawn:
        """The frame after `now`; the speculator calls it too, from its own thread."""
        made = self._noise(range(self.lanes), self.frame_index + 1 + self.window)
        actions = torch.from_numpy(vectors).to(self.engine.device)
        return self.engine.step(self.cache, self.now, actions, made)

    def draw_jointly(self, vectors: NDArray[np.float32], count: int) -> list[Drawn]:
        """The next `count` frames at once, the action held; in the cache, but not on show."""
        first = self.frame_index + 1 + self.window
        made = torch.stack([self._noise(range(self.lanes), first + k) for k in range(count)], dim=1)
        actions = torch.from_numpy(vectors).to(self.engine.device)
        return jointly(self.world, self.sigmas, self.cache, self.now, actions, made)

    def _noise(self, lanes: Iterable[int], address: NDArray[np.int64]) -> Tensor:
        """(len(lanes), N, C): each lane's noise depends on its own seed and clock alone."""
        shape = (self.world.denoiser.config.tokens, self.world.denoiser.config.channels)
        draws = [noise(int(self.seeds[i]), 0, int(address[i]), 0, shape) for i in lanes]
        scale = np.float32(self.world.settings.temperature)
        return torch.from_numpy(scale * np.stack(draws)).to(self.engine.device)

    def _prime(self, lanes: NDArray[np.int64], frames: Frames, actions: Any, pitch: Any) -> None:
        """Put the tail of a clip into `lanes` of the cache; other lanes stay bit for bit."""
        tail = min(frames.shape[1], self.window + 1)
        device = self.engine.device
        # Frame 0 of a lane's clock is the clip's last; the ones before it count down from there.
        ages = [self.frame_index + self.window - age for age in reversed(range(tail))]
        made = torch.stack([self._noise(lanes, address) for address in ages], dim=1)
        beside = self.world.denoiser.make_cache(len(lanes))
        given = (frames[lanes, -tail:], actions[lanes, -tail:], pitch[lanes, -tail:])
        clip, turns, angles = (
            torch.from_numpy(np.ascontiguousarray(part)).to(device) for part in given
        )
        drawn = prime(self.world, self.sigmas, beside, clip, turns, angles, made)
        for i, lane in enumerate(lanes):
            self.cache.put(int(lane), beside, i)
        if len(lanes) < self.lanes:
            drawn = _replaced(self._now, drawn, torch.from_numpy(lanes).to(device))
        self._now = drawn

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        keys, values = tensors.pop("keys"), tensors.pop("values")
        self.seeds = tensors.pop("seeds").numpy().copy()
        self.frame_index = tensors.pop("frame_index").numpy().copy()
        valid = tensors.pop("valid")
        self.cache.reset()
        self.cache.append(keys.to(self.engine.device), values.to(self.engine.device))
        self.cache.valid.copy_(valid)
        self._past.clear()
        self._started[:] = True
        self._now = Drawn(**{name: part.to(self.engine.device) for name, part in tensors.items()})
        self.speculator.restart()

    # -- checks

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

    def _facts(self) -> dict[str, Any]:
        """What a state must agree on with the session that loads it."""
        return {"world": fingerprint(self.world), "lanes": self.lanes, "steps": len(self.sigmas)}

    def _checked(
        self, frames: NDArray[Any], actions: NDArray[Any], pitch: ArrayLike | None
    ) -> tuple[Frames, NDArray[np.float32], NDArray[np.float32]]:
        width, height = self.world.size
        if frames.dtype != np.uint8 or frames.ndim != 5 or frames.shape[1] < 1:
            raise ValueError(
                f"frames must be uint8 (B, T >= 1, H, W, 3), got {frames.dtype} {frames.shape}."
            )
        if (len(frames), *frames.shape[2:]) != (self.lanes, height, width, 3):
            raise ValueError(
                f"frames must hold {self.lanes} lanes of {height}x{width}x3 pixels, got shape "
                f"{frames.shape}; resize them to the world's size."
            )
        shape = (*frames.shape[:2], self.world.codec.width)
        actions = np.asarray(actions, np.float32)
        if actions.shape != shape or not np.isfinite(actions).all():
            raise ValueError(f"actions must be {shape} finite numbers, got shape {actions.shape}.")
        angles = np.zeros(shape[:2], np.float32) if pitch is None else np.asarray(pitch, np.float32)
        if angles.shape != shape[:2] or not np.isfinite(angles).all():
            raise ValueError(f"pitch must be {shape[:2]} finite degrees, got shape {angles.shape}.")
        return frames, actions, angles

    def _checked_actions(self, actions: NDArray[np.float32]) -> NDArray[np.float32]:
        shape = (self.lanes, self.world.codec.width)
        if actions.shape != shape:
            raise ValueError(f"actions must have shape {shape}, got {actions.shape}.")
        if not np.isfinite(actions).all():
            raise ValueError(f"actions must be finite numbers, got {actions.tolist()}.")
        return np.ascontiguousarray(actions) + np.float32(0.0)  # -0.0 and 0.0 are one action


def levels(sigmas: Sequence[float], steps: int | None) -> tuple[float, ...]:
    """Noise levels for `steps` evaluations: the world's own, or evenly spread if another number."""
    if steps is None or steps == len(sigmas):
        return tuple(sigmas)
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}.")
    return tuple(1.0 - i / steps for i in range(steps))


def blank(world: WorldModel, lanes: int, device: torch.device) -> Drawn:
    """What lanes show before their first reset."""
    (width, height), shape = world.size, world.denoiser.config
    frame = torch.zeros(lanes, height, width, 3, dtype=torch.uint8, device=device)
    latents = torch.zeros(lanes, shape.tokens, shape.channels, device=device)
    pitch = torch.zeros(lanes, 1, device=device)
    actions = torch.zeros(lanes, 1, world.codec.width, device=device)
    memory, yaw, _ = world.remember(frame[:, None], actions, pitch)
    seen = world.glimpses(frame[:, None])
    return Drawn(frame, world.canvas(frame), latents, pitch[:, 0], yaw, memory, seen)


@torch.no_grad()
def _replaced(old: Drawn, new: Drawn, lanes: Tensor) -> Drawn:
    """`old` with the given lanes taken from `new`; frames already handed out are not written to."""
    parts = {}
    for field in fields(Drawn):
        whole = getattr(old, field.name).clone()
        whole[lanes] = getattr(new, field.name)
        parts[field.name] = whole
    return Drawn(**parts)
