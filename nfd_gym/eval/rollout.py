"""Dreams beside the recordings they started from: real context, then the recorded actions alone.

A `Dream` is anything that can be reset to recorded frames and stepped with actions; the runtime's
Session is one. Everything here is batched over lanes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from nfd_gym.actions import ActionCodec, KeysAndMouse
from nfd_gym.data.clip import Clip, Source
from nfd_gym.keyboard import KEY_INDEX

Frames = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class Dream(Protocol):
    """Running worlds, one per lane."""

    def reset(
        self,
        frames: Frames,
        actions: Floats,
        pitch: Floats | None,
        seeds: npt.NDArray[np.int64],
    ) -> Frames: ...

    def step(self, actions: Floats) -> Frames: ...


@dataclass(frozen=True)
class Excerpt:
    """Stretches of equal length cut from recordings: `context` real frames, then the horizon."""

    frames: Frames  # (B, context + horizon, H, W, 3)
    actions: Floats  # (B, context + horizon, A)
    pitch: Floats | None  # (B, context + horizon) degrees, + down
    context: int
    names: tuple[str, ...]

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
        return Excerpt(
            self.frames[rows],
            self.actions[rows],
            None if self.pitch is None else self.pitch[rows],
            self.context,
            tuple(self.names[row] for row in rows),
        )

    def span(self, start: int, stop: int, context: int) -> "Excerpt":
        """Frames start..stop-1 of every stretch, `context` of them as context."""
        pitch = None if self.pitch is None else self.pitch[:, start:stop]
        part = slice(start, stop)
        return Excerpt(self.frames[:, part], self.actions[:, part], pitch, context, self.names)

    def batches(self, lanes: int) -> Iterator["Excerpt"]:
        """`lanes` stretches at a time; the last batch may have fewer."""
        for start in range(0, len(self.frames), lanes):
            yield self.rows(np.arange(start, min(start + lanes, len(self.frames))))

    def each(self, context: int) -> "Excerpt":
        """Every horizon frame on its own, (B * horizon) stretches of `context` real frames and one
        more."""
        if context > self.context:
            raise ValueError(f"{context} frames of context asked for, {self.context} are there.")
        ends = range(self.context, self.context + self.horizon)
        parts = [self.span(end - context, end + 1, context) for end in ends]

        def mix(arrays: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
            return np.stack(arrays, axis=1).reshape(-1, *arrays[0].shape[1:])

        return Excerpt(
            mix([part.frames for part in parts]),
            mix([part.actions for part in parts]),
            None if self.pitch is None else mix([p.pitch for p in parts if p.pitch is not None]),
            context,
            tuple(name for name in self.names for _ in ends),
        )

    def pairs(self) -> "Excerpt":
        """Every horizon frame with only the frame before it."""
        return self.each(1)


def stack(clips: Sequence[Clip], context: int) -> Excerpt:
    """An excerpt from clips of equal length."""
    lengths = {len(clip) for clip in clips}
    if len(lengths) != 1:
        raise ValueError(f"An excerpt needs clips of one length, got {sorted(lengths)}.")
    with_pitch = all(clip.pitch is not None for clip in clips)
    return Excerpt(
        np.stack([clip.frames for clip in clips]),
        np.stack([clip.actions for clip in clips]),
        np.stack([clip.pitch for clip in clips if clip.pitch is not None]) if with_pitch else None,
        context,
        tuple(clip.name for clip in clips),
    )


def cut(source: Source, count: int, context: int, horizon: int) -> Excerpt:
    """`count` stretches spread evenly over all recordings of a source: the same ones every time."""
    span = context + horizon
    room = np.array([max(0, length - span + 1) for length in source.lengths])
    if not room.any():
        raise ValueError(
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
    lanes, context = len(excerpt.frames), excerpt.context
    pitch = None if excerpt.pitch is None else excerpt.pitch[:, :context]
    seeds = np.arange(first_seed, first_seed + lanes, dtype=np.int64)
    dream.reset(excerpt.frames[:, :context], excerpt.actions[:, :context], pitch, seeds)
    steps = [dream.step(excerpt.actions[:, context + i]).copy() for i in range(excerpt.horizon)]
    return np.stack(steps, axis=1)


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
