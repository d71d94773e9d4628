"""Dreams beside the recordings they started from: real context, then the recorded actions alone.

A `Dream` is anything that can be reset to recorded frames and stepped with actions; the runtime's
Session is one. Everything here is batched over stretches.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nfd_gym.actions import ActionCodec, KeysAndMouse
from nfd_gym.data.clip import Clip, Source
from nfd_gym.errors import UsageError
from nfd_gym.keyboard import KEY_INDEX
from nfd_gym.runtime.session import Session
from nfd_gym.world import World

LANES = 16  # stretches drawn at once

Frames = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Depth = npt.NDArray[np.uint16]


class Dream(Protocol):
    """Running worlds, as many as there are stretches."""

    def reset(
        self,
        frames: Frames,
        actions: Floats,
        depth: Depth | None,
        poses: Floats | None,
        seeds: npt.NDArray[np.int64],
    ) -> Frames: ...

    def step(self, actions: Floats) -> Frames: ...


@dataclass(frozen=True)
class Excerpt:
    """Stretches of equal length cut from recordings: `context` real frames, then the horizon."""

    frames: Frames  # (B, context + horizon, H, W, 3)
    actions: Floats  # (B, context + horizon, A)
    context: int
    names: tuple[str, ...]
    depth: Depth | None = None  # (B, context + horizon, H, W) inverse depth
    poses: Floats | None = None  # (B, context + horizon, 5)

    @property
    def horizon(self) -> int:
        return int(self.frames.shape[1]) - self.context

    @property
    def real(self) -> Frames:
        """What the game showed over the horizon (B, horizon, H, W, 3)."""
        return self.frames[:, self.context :]

    @property
    def last(self) -> Frames:
        """The last context frame (B, H, W, 3): what persistence repeats."""
        return self.frames[:, self.context - 1]

    def rows(self, rows: npt.NDArray[np.intp]) -> "Excerpt":
        """The stretches with these numbers."""
        names = tuple(self.names[row] for row in rows)
        return self._of(lambda part: part[rows], self.context, names)

    def span(self, start: int, stop: int, context: int) -> "Excerpt":
        """Frames start..stop-1 of every stretch, `context` of them as context."""
        return self._of(lambda part: part[:, start:stop], context, self.names)

    def batches(self, size: int) -> Iterator["Excerpt"]:
        """`size` stretches at a time; the last batch may have fewer."""
        for start in range(0, len(self.frames), size):
            yield self.rows(np.arange(start, min(start + size, len(self.frames))))

    def each(self, context: int) -> "Excerpt":
        """Every horizon frame on its own, (B * horizon) stretches of `context` real frames and one
        more."""
        if context > self.context:
            raise UsageError(f"{context} frames of context asked for, {self.context} are there.")
        ends = np.arange(self.context, self.context + self.horizon)

        def mix(part: npt.NDArray[Any]) -> npt.NDArray[Any]:
            each = np.stack([part[:, end - context : end + 1] for end in ends], axis=1)
            return each.reshape(-1, *each.shape[2:])

        return self._of(mix, context, tuple(name for name in self.names for _ in ends))

    def pairs(self) -> "Excerpt":
        """Every horizon frame with only the frame before it."""
        return self.each(1)

    def _of(
        self,
        change: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
        context: int,
        names: tuple[str, ...],
    ) -> "Excerpt":
        parts = (self.frames, self.actions, self.depth, self.poses)
        frames, actions, depth, poses = (None if p is None else change(p) for p in parts)
        assert frames is not None and actions is not None
        return Excerpt(frames, actions, context, names, depth, poses)


def stack(clips: Sequence[Clip], context: int) -> Excerpt:
    """An excerpt from clips of equal length."""
    lengths = {len(clip) for clip in clips}
    if len(lengths) != 1:
        raise UsageError(f"An excerpt needs clips of one length, got {sorted(lengths)}.")
    depth = [clip.depth for clip in clips if clip.depth is not None]
    poses = [clip.pose for clip in clips if clip.pose is not None]
    return Excerpt(
        np.stack([clip.frames for clip in clips]),
        np.stack([clip.actions for clip in clips]),
        context,
        tuple(clip.name for clip in clips),
        np.stack(depth) if len(depth) == len(clips) else None,
        np.stack(poses) if len(poses) == len(clips) else None,
    )


def cut(source: Source, count: int, context: int, horizon: int) -> Excerpt:
    """`count` stretches spread evenly over all recordings of a source: the same ones every time."""
    span = context + horizon
    room = np.array([max(0, length - span + 1) for length in source.lengths])
    if not room.any():
        raise UsageError(
            f"No recording holds {span} frames (context {context} + horizon {horizon}); "
            "use longer recordings or a shorter horizon."
        )
    ends = np.cumsum(room)
    places = ((np.arange(count) + 0.5) / count * ends[-1]).astype(int)
    clips = []
    for place in places:
        index = int(np.searchsorted(ends, place, side="right"))
        start = int(place - (ends[index] - room[index]))
        clips.append(source.read(index, start, start + span))
    return stack(clips, context)


def roll(dream: Dream, excerpt: Excerpt, first_seed: int = 0) -> Frames:
    """Free rollout (B, horizon, H, W, 3): the dream sees its own frames and the recorded
    actions."""
    given = excerpt.span(0, excerpt.context, excerpt.context)
    seeds = np.arange(first_seed, first_seed + len(given.frames), dtype=np.int64)
    dream.reset(given.frames, given.actions, given.depth, given.poses, seeds)
    told = excerpt.actions[:, excerpt.context :]
    steps = [dream.step(told[:, i]).copy() for i in range(excerpt.horizon)]
    return np.stack(steps, axis=1)


def dreamt(world: World, real: Excerpt, engine: str = "eager") -> Frames:
    """The dream over the horizon of stretches (B,T,H,W,3), each by a noise of its own."""
    made: list[Frames] = []
    for part in real.batches(LANES):
        session = Session(world, num_envs=len(part.frames), engine=engine)
        made.append(roll(session, part, first_seed=LANES * len(made)))
        session.close()
    return np.concatenate(made)


STILL = 0.1  # degrees per tick below which the camera counts as still


def kinds(actions: Floats, codec: ActionCodec) -> dict[str, npt.NDArray[np.bool_]]:
    """Masks (...) of what each action (..., A) does. "walking" and "standing" without camera
    motion, "camera" with any other keys. A world without a known camera has only "all"."""
    everything = np.ones(actions.shape[:-1], bool)
    if not isinstance(codec, KeysAndMouse):
        return {"all": everything}
    dpitch, dyaw = codec.rotation(actions)
    camera = np.maximum(np.abs(dpitch), np.abs(dyaw)) > STILL
    keys = [KEY_INDEX[name] for name in ("forward", "back", "left", "right", "jump")]
    walking = (actions[..., keys] > 0.5).any(axis=-1)
    return {
        "all": everything,
        "camera": camera,
        "camera+walking": camera & walking,
        "camera+standing": camera & ~walking,
        "walking": walking & ~camera,
        "standing": ~walking & ~camera,
    }


def by_kind(
    values: npt.NDArray[np.floating], masks: dict[str, npt.NDArray[np.bool_]]
) -> dict[str, float]:
    """Mean of per-frame values over each mask that is not empty."""
    return {name: float(values[mask].mean()) for name, mask in masks.items() if mask.any()}
