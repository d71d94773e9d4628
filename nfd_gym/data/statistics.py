"""Statistics of recorded play: keys, camera, events by kind, turns, returns, standing still."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfd_gym.actions import ActionCodec, Discrete, KeysAndMouse
from nfd_gym.data.clip import Event, Floats
from nfd_gym.keyboard import KEYS, PITCH, VPT_CAMERA

Mask = NDArray[np.bool_]

TURN = 45.0  # degrees within a second: a turn
STAND_S = 10.0  # seconds without any action: a stand
NEAR_M, NEAR_DEG = 1.0, 20.0  # the same place and view
AWAY_M, AWAY_DEG = 5.0, 45.0  # the place or the view was left
LOOK_S = 0.25  # seconds between the poses that are compared


@dataclass
class Played:
    """What was played, clip by clip."""

    frames: int = 0
    clips: int = 0
    seconds: float = 0.0
    actions: list[Floats] = field(default_factory=list)  # per clip, without the leading no-op
    poses: list[Floats] = field(default_factory=list)  # per clip that has them, (T, 5)
    events: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, name)
    rewards: float = 0.0

    def count(self, events: tuple[Event, ...]) -> None:
        """Side effect: adds events by kind and name."""
        self.events.update((event.kind, event.name) for event in events)

    def kinds(self) -> Counter[str]:
        """How many events of each kind."""
        kinds: Counter[str] = Counter()
        for (kind, _), times in self.events.items():
            kinds[kind] += times
        return kinds


def describe(codec: ActionCodec, played: Played) -> Iterator[str]:
    """The statistics as lines of text."""
    length = f"{played.seconds / 3600:.2f} hours"
    if played.seconds < 600:
        length = f"{played.seconds:.0f} seconds"
    yield f"{played.clips} clips, {played.frames:,} frames = {length}"
    if not played.actions:
        return
    fps = played.frames / played.seconds
    actions = np.concatenate(played.actions)
    repeat = np.concatenate([repeats(codec, clip) for clip in played.actions])
    yield f"repeats the previous action: {_percent(repeat)} of frames"
    rest = codec.encode(codec.noop())
    still = [(clip == rest).all(axis=1) for clip in played.actions]
    stood = np.concatenate([long_runs(clip, round(STAND_S * fps)) for clip in still])
    yield (
        f"does nothing: {_percent(np.concatenate(still))} of frames, for {STAND_S:.0f} seconds or "
        f"longer: {_percent(stood)}"
    )
    if isinstance(codec, KeysAndMouse):
        yield from _keys_and_camera(codec, actions, played.actions, fps)
    elif isinstance(codec, Discrete):
        share = actions.mean(axis=0)
        yield "actions: " + ", ".join(f"{n} {100 * part:.1f}%" for n, part in enumerate(share))
    else:
        values = np.stack([codec.decode(action) for action in actions])
        for column in range(values.shape[1]):
            one = values[:, column]
            yield (
                f"action {column}: mean {one.mean():.4g}, sd {one.std():.4g}, from {one.min():.4g} "
                f"to {one.max():.4g}"
            )
    if played.poses:
        seen = np.concatenate([returns(clip, fps) for clip in played.poses])
        poses = np.concatenate(played.poses)
        low, high = poses[:, :3].min(axis=0), poses[:, :3].max(axis=0)
        yield f"returns: {_percent(seen)} of frames show a place and view that was left before"
        yield "eye: " + ", ".join(
            f"{axis} from {a:.1f} to {b:.1f}" for axis, a, b in zip("xyz", low, high, strict=True)
        )
    if played.rewards:
        yield f"reward: {played.rewards:,.2f} in all"
    for kind, times in sorted(played.kinds().items()):
        names = sorted(((n, name) for (k, name), n in played.events.items() if k == kind))[::-1]
        listed = ", ".join(f"{name} {n:,}" for n, name in names[:12])
        more = f", {len(names) - 12} more" if len(names) > 12 else ""
        yield f"events: {kind} {times:,} = {100 * times / played.frames:.2f}% ({listed}{more})"


def repeats(codec: ActionCodec, actions: Floats) -> Mask:
    """Which actions equal the one before; the camera counts in VPT's bins, not in pixels."""
    coarse: NDArray[Any] = actions
    if isinstance(codec, KeysAndMouse):
        bins = VPT_CAMERA.to_bin(np.stack(codec.rotation(actions), axis=-1))
        coarse = np.concatenate([actions[:, :PITCH] > 0.5, bins], axis=1)
    same: Mask = (coarse[1:] == coarse[:-1]).all(axis=1)
    return same


def long_runs(mask: Mask, least: int) -> Mask:
    """Where a mask (T,) is true for at least `least` frames in a row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    found = np.zeros(len(mask), np.bool_)
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        found[start:stop] = stop - start >= least
    return found


def turning(yaw: Floats, fps: float) -> Mask:
    """Which frames of one clip end a second in which the view turned by TURN degrees or more."""
    turned = np.concatenate([[0.0], np.cumsum(yaw, dtype=np.float64)])
    second = max(1, round(fps))
    before = np.maximum(np.arange(1, len(turned)) - second, 0)
    return np.asarray(np.abs(turned[1:] - turned[before]) >= TURN)


def returns(pose: Floats, fps: float) -> Mask:
    """Which of the poses (T, 5) show again what was left: near an earlier pose, away in between."""
    step = max(1, round(LOOK_S * fps))
    some = pose[::step].astype(np.float64)
    apart = np.linalg.norm(some[:, None, :3] - some[None, :, :3], axis=-1)
    yaw = np.abs((some[:, None, 3] - some[None, :, 3] + 180) % 360 - 180)
    pitch = np.abs(some[:, None, 4] - some[None, :, 4])
    later = np.triu(np.ones(apart.shape, np.bool_), 1)  # [s, t]: t after s
    away = ((apart > AWAY_M) | (yaw > AWAY_DEG)) & later
    left = np.logical_or.accumulate(away, axis=1)  # [s, t]: s was left at some moment up to t
    near = (apart < NEAR_M) & (yaw < NEAR_DEG) & (pitch < NEAR_DEG) & later
    back: Mask = (near & left).any(axis=0)
    return np.repeat(back, step)[: len(pose)]


def _keys_and_camera(
    codec: KeysAndMouse, actions: Floats, clips: list[Floats], fps: float
) -> Iterator[str]:
    down = actions[:, : len(KEYS)] > 0.5
    shares = {key: down[:, column] for column, key in enumerate(KEYS) if down[:, column].any()}
    yield "keys: " + ", ".join(f"{key} {_percent(share)}" for key, share in shares.items())
    pitch, yaw = codec.rotation(actions)
    moves = (pitch != 0) | (yaw != 0)
    size = np.hypot(pitch, yaw)[moves]
    yield (
        f"camera: moves in {_percent(moves)} of frames, right {_percent(yaw > 0)}, left "
        f"{_percent(yaw < 0)}, median turn {np.median(size) if len(size) else 0:.2f} degrees, "
        f"beyond 10 degrees {_percent(np.maximum(abs(pitch), abs(yaw)) > 10)}"
    )
    turned = np.concatenate([turning(codec.rotation(clip)[1], fps) for clip in clips])
    yield f"turns by {TURN:.0f} degrees or more within a second: {_percent(turned)} of frames"


def _percent(mask: Any) -> str:
    return f"{100 * float(np.mean(mask)) if len(mask) else 0.0:.1f}%"
