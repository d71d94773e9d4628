"""Clip: recorded play, aligned. The convention of the project is said here and nowhere else.

`actions[i]` is the action that PRODUCED `frames[i]`; `actions[0]` is the no-op. Depth is inverse
planar depth, 16384 = 1 per metre, 0 = sky. A pose is (x, y, z of the eye, yaw, pitch) in metres
and degrees: forward = (-sin yaw, cos yaw) in (x, z), y up, yaw grows to the right, pitch downwards.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nfd_gym.actions import ActionCodec
from nfd_gym.errors import NfdError

Floats = NDArray[np.float32]
Frames = NDArray[np.uint8]
Depth = NDArray[np.uint16]

POSE = 5  # x, y, z, yaw, pitch


class DataError(NfdError, ValueError):
    """A recording that cannot be used; the message names the file, the row and what to do."""


@dataclass(frozen=True)
class Event:
    """Something that happened, seen in frame `frame` (the frame that the action produced)."""

    frame: int
    kind: str
    name: str
    pos: tuple[float, float, float] | None = None  # the block's place, metres

    @classmethod
    def from_info(cls, frame: int, item: Any) -> "Event":
        """One item of `info["events"]`: {"type", "node", "pos"}, (kind, name) or an Event."""
        if isinstance(item, Event):
            return replace(item, frame=frame)
        if isinstance(item, Mapping):
            kind, name = item.get("type"), item.get("node", item.get("name", ""))
            place = item.get("pos")
        elif isinstance(item, Sequence) and not isinstance(item, str) and len(item) in (2, 3):
            kind, name, place = (*item, None)[:3]
        else:
            kind, name, place = None, "", None
        if not isinstance(kind, str) or not isinstance(name, str):
            raise DataError(
                f'the event {item!r} is neither {{"type": kind, "node": name}} nor (kind, name).'
            )
        if place is None:
            return cls(frame, kind, name)
        try:
            x, y, z = (float(value) for value in place)
        except (TypeError, ValueError) as error:
            raise DataError(f"the place of the event {item!r} must be three numbers.") from error
        if not all(map(math.isfinite, (x, y, z))):
            raise DataError(f"the place of the event {item!r} must be finite.")
        return cls(frame, kind, name, (x, y, z))


def shift(chosen: NDArray[Any], first: NDArray[Any]) -> NDArray[Any]:
    """Rows "chosen on frame i" -> rows "that produced frame i": one later, `first` in front."""
    return np.concatenate([np.asarray(first, chosen.dtype)[None], chosen[:-1]])


@dataclass(frozen=True)
class Clip:
    """A stretch of play: T frames and the T actions that produced them."""

    frames: Frames  # (T, H, W, 3) RGB
    actions: Floats  # (T, A)
    rewards: Floats | None = None  # (T,), of the step that produced the frame
    events: tuple[Event, ...] = ()
    pitch: Floats | None = None  # (T,) view pitch of each frame in degrees, + looks down
    name: str = "clip"
    fps: float = 20.0
    state: dict[str, NDArray[Any]] = field(default_factory=dict)  # per-frame logs, (T, ...)
    depth: Depth | None = None  # (T, H, W), inverse planar depth
    pose: Floats | None = None  # (T, 5): x, y, z of the eye, yaw, pitch

    def __post_init__(self) -> None:
        frames, count = self.frames, len(self.frames)
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
            raise DataError(
                f"{self.name}: frames must be uint8 (T, H, W, 3), got "
                f"{frames.dtype} {frames.shape}."
            )
        if self.actions.dtype != np.float32 or self.actions.ndim != 2:
            raise DataError(
                f"{self.name}: actions must be float32 (T, A), got {self.actions.dtype} "
                f"{self.actions.shape}."
            )
        per_frame = {
            "actions": self.actions,
            "rewards": self.rewards,
            "pitch": self.pitch,
            "depth pictures": self.depth,
            "poses": self.pose,
            **self.state,
        }
        for key, values in per_frame.items():
            if values is not None and len(values) != count:
                raise DataError(
                    f"{self.name}: {count} frames but {len(values)} {key}; each frame needs one."
                )
        bad = np.flatnonzero(~np.isfinite(self.actions).all(axis=1))
        if len(bad):
            raise DataError(f"{self.name}:{bad[0]}: the action is not a finite number.")
        if self.depth is not None:
            if self.depth.dtype != np.uint16 or self.depth.shape != frames.shape[:3]:
                raise DataError(
                    f"{self.name}: depth must be uint16 {frames.shape[:3]} like the frames, got "
                    f"{self.depth.dtype} {self.depth.shape}."
                )
        if self.pose is not None:
            if self.pose.dtype != np.float32 or self.pose.shape != (count, POSE):
                raise DataError(
                    f"{self.name}: pose must be float32 {(count, POSE)}, got {self.pose.dtype} "
                    f"{self.pose.shape}."
                )
            bad = np.flatnonzero(~np.isfinite(self.pose).all(axis=1))
            if len(bad):
                raise DataError(f"{self.name}:{bad[0]}: the pose is not finite.")

    def __len__(self) -> int:
        return len(self.frames)

    def cut(self, start: int, stop: int) -> "Clip":
        """Frames start..stop-1 with everything that belongs to them."""
        if not 0 <= start <= stop <= len(self):
            raise DataError(f"{self.name}: frames {start}..{stop} asked for, it has {len(self)}.")
        part = slice(start, stop)
        return replace(
            self,
            frames=self.frames[part],
            actions=self.actions[part],
            rewards=None if self.rewards is None else self.rewards[part],
            pitch=None if self.pitch is None else self.pitch[part],
            events=tuple(
                replace(event, frame=event.frame - start)
                for event in self.events
                if start <= event.frame < stop
            ),
            state={key: values[part] for key, values in self.state.items()},
            depth=None if self.depth is None else self.depth[part],
            pose=None if self.pose is None else self.pose[part],
        )

    @classmethod
    def align(
        cls,
        frames: Frames,
        chosen: Floats,
        noop: Floats,
        *,
        rewards: Floats | None = None,
        events: Iterable[Event] = (),
        **rest: Any,
    ) -> "Clip":
        """A Clip from a recording whose row i is "the action chosen on frame i".

        Action, reward and events of row i move to frame i + 1, whose picture they made. The last
        row's result was never filmed and is dropped. `chosen` may have T or T - 1 rows.
        """
        count = len(frames)
        if len(chosen) not in (count, count - 1):
            raise DataError(
                f"{rest.get('name', 'clip')}: {count} frames need {count} or {count - 1} chosen "
                f"actions, got {len(chosen)}."
            )
        first = np.asarray(noop, np.float32)
        actions = np.concatenate([first[None], np.asarray(chosen, np.float32)])[:count]
        if rewards is not None:
            rewards = np.concatenate([np.zeros(1, np.float32), np.asarray(rewards, np.float32)])[
                :count
            ]
        moved = (replace(event, frame=event.frame + 1) for event in events)
        kept = tuple(event for event in moved if event.frame < count)
        return cls(frames, actions, rewards=rewards, events=kept, **rest)


class Source(Protocol):
    """Recordings of one origin: a list of clips that can be read from any frame to any frame."""

    codec: ActionCodec
    fps: float
    size: tuple[int, int]  # (H, W)
    names: list[str]
    lengths: list[int]

    def read(self, index: int, start: int = 0, stop: int | None = None) -> Clip: ...


def is_trunk(node: str) -> bool:
    """Whether a node is a tree trunk (default:tree, default:pine_tree, oak_log), not leaves."""
    return node.endswith(("tree", "_log"))


def event_flags(events: Sequence[Event], count: int) -> dict[str, NDArray[np.bool_]]:
    """Per-frame masks (count,) of events: dig, place, chop."""
    flags = {kind: np.zeros(count, bool) for kind in ("dig", "place", "chop")}
    for event in events:
        if event.kind in ("dig", "place"):
            flags[event.kind][event.frame] = True
        if event.kind == "dig" and is_trunk(event.name):
            flags["chop"][event.frame] = True
    return flags
