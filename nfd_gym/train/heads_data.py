"""Which frames the reward heads learn from: labels and choice."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.data import Source
from nfd_gym.data.clip import event_flags
from nfd_gym.model.heads import HeadsConfig, glimpse

Flags = dict[str, NDArray[np.bool_]]


def tell(text: str) -> None:
    """A line that the next one overwrites; silent when nobody watches."""
    if sys.stderr.isatty():
        print(f"\r{text} ", end="", file=sys.stderr, flush=True)


@dataclass(frozen=True, kw_only=True)
class Choice:
    before: int = 6  # frames before an event that are kept and tell what is being dug
    after: int = 2
    near: float = 0.7  # share of the other frames kept where the action is like one of an event
    far: float = 0.02  # share kept of all the rest
    lately: int = 6  # frames that an action counts for: things fall when it is over


@dataclass(frozen=True)
class Examples:
    """Frames with what is known about them; `weight` 0 means unknown."""

    glimpses: Tensor  # uint8 (F, S, S, 3)
    index: Tensor  # (M, K) which of them each frame is judged by
    actions: Tensor  # (M, A)
    target: Tensor  # (M, events)
    weight: Tensor  # (M, events)


def label(flags: Flags, config: HeadsConfig, before: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Targets and weights (T, events) of the frames of a clip.

    The frames beside the one where an event shows are left out (weight 0): in three digs of ten
    the picture changes a frame earlier or later. A child event ("chop") has a target only in the
    frames before and at its parent's, where one sees what is being dug.
    """
    count = len(next(iter(flags.values())))
    target = np.zeros((count, len(config.events)), np.float32)
    weight = np.ones((count, len(config.events)), np.float32)
    for column, (event, parent) in enumerate(zip(config.events, config.parents, strict=True)):
        if not parent:
            shown = np.flatnonzero(flags[event]) + config.delay
            for offset in (-1, 1):
                beside = shown + offset
                weight[beside[(beside >= 0) & (beside < count)], column] = 0
            shown = shown[shown < count]
            target[shown, column], weight[shown, column] = 1, 1
            continue
        weight[:, column] = 0
        for frame in np.flatnonzero(flags[parent]):
            seen = slice(max(0, frame - before), frame + config.delay + 1)
            target[seen, column], weight[seen, column] = flags[event][frame], 1
    return target, weight


def choose(
    flags: Flags, actions: NDArray[np.float32], choice: Choice, random: np.random.Generator
) -> NDArray[np.int64]:
    """Which frames (sorted, from 1 on) of a clip to train on."""
    count = len(actions)
    events = np.flatnonzero(np.logical_or.reduce(list(flags.values())))
    keep = np.zeros(count, bool)
    for frame in events:
        keep[max(0, frame - choice.before) : frame + choice.after + 1] = True
    # "Like an event's": some binary input that was on at this clip's events is or was on here too.
    pressed = actions == 1.0
    keys = pressed[events].any(0) & ~pressed.all(0)
    alike = (pressed & keys).any(1)
    alike = np.convolve(alike, np.ones(choice.lately))[:count] > 0
    keep |= random.random(count) < np.where(alike, choice.near, choice.far)
    keep[0] = False  # the first frame has no frame before it
    return np.flatnonzero(keep)


def looks(frames: NDArray[Any], config: HeadsConfig) -> NDArray[np.int64]:
    """(M, K): by which frames of a clip each of `frames` is judged; before the first stands it."""
    back = np.arange(1 - config.frames, 1)
    seen: NDArray[np.int64] = np.maximum(0, np.asarray(frames, np.int64)[:, None] + back)
    return seen


def gather(
    source: Source,
    clips: list[int],
    config: HeadsConfig,
    choice: Choice,
    random: np.random.Generator,
    device: str,
) -> Examples:
    parts: list[list[Tensor]] = []
    stored = 0
    for done, index in enumerate(clips, 1):
        clip = source.read(index)
        flags = event_flags(clip.events, len(clip))
        target, weight = label(flags, config, choice.before)
        frames = choose(flags, clip.actions, choice, random)
        if len(frames):
            needed, place = np.unique(looks(frames, config), return_inverse=True)
            seen = glimpse(torch.from_numpy(clip.frames[needed]), config.size).contiguous()
            where = place.reshape(len(frames), config.frames) + stored
            known = (where, clip.actions[frames], target[frames], weight[frames])
            rows = [torch.from_numpy(array).to(device) for array in known]
            parts.append([seen.to(device), *rows])
            stored += len(needed)
        tell(f"read {done} of {len(clips)} recordings")
    if not parts:
        raise ValueError("no frame to learn from; the recordings need logged events")
    examples = Examples(*(torch.cat(column) for column in zip(*parts, strict=True)))
    found = (examples.target * examples.weight).sum(0).tolist()
    positive = dict(zip(config.events, map(int, found), strict=True))
    print(f"{len(examples.target)} frames, positive: {positive}")
    return examples
