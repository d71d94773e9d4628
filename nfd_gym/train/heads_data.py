"""Which frames the reward heads learn from: labels, choice, encoding."""

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.data import Clip, Source
from nfd_gym.data.clip import event_flags
from nfd_gym.model.heads import HeadsConfig
from nfd_gym.world import WorldModel

Flags = dict[str, NDArray[np.bool_]]


def tell(text: str) -> None:
    """A line that the next one overwrites; silent when nobody watches."""
    if sys.stderr.isatty():
        print(f"\r{text} ", end="", file=sys.stderr, flush=True)


@dataclass(frozen=True, kw_only=True)
class Choice:
    before: int = 4  # frames before an event that are kept and tell what is being dug
    after: int = 2
    near: float = 0.05  # share of the other frames kept where the action is like one of an event
    far: float = 0.01  # share kept of all the rest


@dataclass(frozen=True)
class Examples:
    """Frames with what is known about them; `weight` 0 means unknown."""

    latents: Tensor  # (M, 2, N, C) fp16
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
    # "Like an event's": some binary input that was on at this clip's events is on here too.
    pressed = actions == 1.0
    keys = pressed[events].any(0) & ~pressed.all(0)
    alike = (pressed & keys).any(1)
    keep |= random.random(count) < np.where(alike, choice.near, choice.far)
    keep[0] = False  # the first frame has no frame before it
    return np.flatnonzero(keep)


@torch.no_grad()
def pairs(world: WorldModel, clip: Clip, frames: NDArray[Any], device: str) -> Tensor:
    """Latents (M, 2, N, C) fp16 of the recycled frame before each of `frames`, and of the frame."""
    out = []
    pitch = np.zeros(len(clip), np.float32) if clip.pitch is None else clip.pitch
    for part in np.array_split(frames, max(1, len(frames) // 64)):
        last = world.see(torch.from_numpy(clip.frames[part - 1]).to(device))
        actions = torch.from_numpy(clip.actions[part]).to(device)
        seen, _ = world.recycle(last, torch.from_numpy(pitch[part - 1]).to(device), actions)
        channels = world.denoiser.config.channels
        before = world.tokenizer.encode(last) if seen is None else seen[..., :channels]
        now = world.tokenizer.encode(world.see(torch.from_numpy(clip.frames[part]).to(device)))
        out.append(torch.stack([before, now], 1).half())
    return torch.cat(out)


def gather(
    world: WorldModel,
    source: Source,
    clips: list[int],
    config: HeadsConfig,
    choice: Choice,
    random: np.random.Generator,
    device: str,
) -> Examples:
    parts: list[list[Tensor]] = []
    for done, index in enumerate(clips, 1):
        clip = source.read(index)
        flags = event_flags(clip.events, len(clip))
        target, weight = label(flags, config, choice.before)
        frames = choose(flags, clip.actions, choice, random)
        if len(frames):
            known = (clip.actions[frames], target[frames], weight[frames])
            rows = [torch.from_numpy(array).to(device) for array in known]
            parts.append([pairs(world, clip, frames, device), *rows])
        tell(f"encoded {done} of {len(clips)} recordings")
    if not parts:
        raise ValueError("no frame to learn from; the recordings need logged events")
    examples = Examples(*(torch.cat(column) for column in zip(*parts, strict=True)))
    found = (examples.target * examples.weight).sum(0).tolist()
    positive = dict(zip(config.events, map(int, found), strict=True))
    print(f"{len(examples.target)} frames, positive: {positive}")
    return examples
