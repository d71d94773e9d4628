"""Views of recorded clips: what memory would have shown the denoiser at every tick of a clip.

A clip is replayed through the memory with its true poses, pictures and edits, by the same functions
that play calls (edit, read, condition_tokens, write). The latents of chosen ticks are kept as half
floats in shards, so that training reads no picture again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.data.clip import Clip
from nfd_gym.memory import Edit, View
from nfd_gym.memory.geometry import pixel_rays, project
from nfd_gym.memory.picture import fill_unknown
from nfd_gym.memory.points import DUG, PointMemory
from nfd_gym.model.eye import EyeBody
from nfd_gym.model.legs import turned_by
from nfd_gym.model.tokenizer import Tokenizer

DEPTH_ONE = 16384.0


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """Which ticks are kept, and how views are spoilt so that the net can do without memory."""

    every: float = 4.5  # ticks between kept views, in the mean
    after_edit: int = 30  # ticks after an edit in which views are kept more often ...
    after_every: float = 2.5  # ... with this many between
    rewrite: int = 4  # ticks between writes after an edit
    blank: float = 0.06  # share of the views of which nothing is known ...
    hidden: float = 0.14  # ... with a strip or boxes made unknown ...
    clip: float = 0.4  # ... of which only what one or two earlier frames of the clip saw is known
    back: int = 160  # ticks that those lie back at most


class Record(NamedTuple):
    """One kept tick. `code` and `masks` are the condition without rays."""

    code: NDArray[np.float16]  # (N,C) of the view
    masks: NDArray[np.uint8]  # (N,16*(1+E)) in 255ths
    target: NDArray[np.float16]  # (N,C) of the recorded frame
    pose: NDArray[np.float32]  # (5,)
    control: NDArray[np.float32]  # (A+K,)


class Legs(NamedTuple):
    """One tick for the body."""

    inputs: NDArray[np.float32]
    step: NDArray[np.float32]  # (3,) in the turned axes
    motion: NDArray[np.float32]  # (M,) before
    action: NDArray[np.float32]  # (A,)
    pointed: NDArray[np.float32]  # (POINTED,) what the middle of the coming view shows
    event: np.int64


def edits_of(clip: Clip, kinds: tuple[str, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Events (T,) 0 none, 1 dig, 2 place; edit kinds (T,) 0, DUG, DUG + 1 + k; cells (T,3)."""
    count = len(clip)
    events, edit = torch.zeros(count, dtype=torch.long), torch.zeros(count, dtype=torch.long)
    cells = torch.zeros(count, 3, dtype=torch.long)
    for event in clip.events:
        if event.pos is None or event.kind not in ("dig", "place"):
            continue
        if event.kind == "place" and event.name not in kinds:
            continue
        events[event.frame] = 1 if event.kind == "dig" else 2
        edit[event.frame] = DUG if event.kind == "dig" else DUG + 1 + kinds.index(event.name)
        cells[event.frame] = torch.tensor([round(value) for value in event.pos])
    return events, edit, cells


@torch.no_grad()
def replay(
    memory: PointMemory, body: EyeBody, tokenizer: Tokenizer, clip: Clip, kinds: tuple[str, ...],
    settings: ViewSettings, random: np.random.Generator,
) -> Iterator[tuple[Record | None, Legs]]:  # fmt: skip
    """Every tick of a clip in order: its record if it is kept, and what the body learns from it."""
    assert clip.depth is not None and clip.pose is not None
    frames = torch.from_numpy(clip.frames)
    nearness = torch.from_numpy(clip.depth.astype(np.float32) / DEPTH_ONE)
    poses, actions = torch.from_numpy(clip.pose), torch.from_numpy(clip.actions)
    events, edits, cells = edits_of(clip, kinds)
    motion, control = body.trace(poses, actions, events)
    state = memory.empty(1)
    since = 10**6
    for t in range(1, len(clip)):
        kind, pose = int(edits[t]), poses[t : t + 1]
        inputs, quarter = body.inputs(
            memory, state, _turned(poses, t), motion[t - 1 : t], actions[t : t + 1]
        )
        pointed, _, _ = body.pointed(memory, state, pose, actions[t : t + 1])
        legs = _legs(poses, t, inputs, quarter, motion, actions, pointed, events)
        edit = Edit(edits[t : t + 1], cells[t : t + 1])
        state = memory.edit(state, edit)
        since = 0 if kind else since + 1
        often = settings.after_every if since < settings.after_edit else settings.every
        kept = kind > 0 or random.random() < 1.0 / often
        written = memory.keeps_paint and since < settings.after_edit
        written &= since % settings.rewrite == 0
        if not (kept or written):
            yield None, legs
            continue
        view = memory.read(state, frames[t - 1][None], pose)
        record = None
        if kept:
            earlier = Earlier(nearness, poses, t, memory.fov_y)
            shown = spoil(view, settings, random, earlier) if not kind else view
            record = _record(tokenizer, shown, frames[t], nearness[t], pose, actions[t], control[t])
        if written:
            state = memory.write(state, view, frames[t][None], nearness[t][None], pose)
        yield record, legs


def spoil(
    view: View, settings: ViewSettings, random: np.random.Generator, earlier: "Earlier"
) -> View:
    """A view (1,...) of which a region, or all, is unknown, now and then."""
    draw = random.random()
    height, width = view.sharp.shape[-2:]
    hidden = torch.zeros(height, width, dtype=torch.bool)
    if draw < settings.blank:
        hidden[:] = True
    elif draw < settings.blank + settings.hidden:
        if random.random() < 0.4:  # a strip at a border, as when the camera turns
            side, share = random.integers(4), random.uniform(0.05, 0.6)
            rows, columns = int(share * height), int(share * width)
            region = [
                (slice(None), slice(0, columns)), (slice(None), slice(width - columns, None)),
                (slice(0, rows), slice(None)), (slice(height - rows, None), slice(None)),
            ][side]  # fmt: skip
            hidden[region] = True
        else:
            for _ in range(int(random.integers(1, 4))):
                h, w = int(random.uniform(4, height / 2)), int(random.uniform(4, width / 2))
                y, x = int(random.integers(height - h)), int(random.integers(width - w))
                hidden[y : y + h, x : x + w] = True
    elif draw < settings.blank + settings.hidden + settings.clip:
        hidden[:] = True
        for _ in range(int(random.integers(1, 3))):
            hidden &= ~earlier.saw(view.nearness[0, 0], int(random.integers(1, settings.back)))
    if not bool(hidden.any()):
        return view
    sharp = torch.where(hidden, 0.0, view.sharp)
    colour, near = fill_unknown(
        view.colour[0], view.nearness[0, 0], sharp[0, 0] == 0, torch.zeros_like(hidden)
    )
    return view._replace(colour=colour[None], nearness=near[None, None], sharp=sharp)


class Earlier(NamedTuple):
    """The frames of a clip before one of them."""

    nearness: Tensor  # (T,H,W) of the clip
    poses: Tensor  # (T,5)
    now: int
    fov_y: float

    def saw(self, nearness: Tensor, back: int) -> Tensor:
        """Pixels (H,W) of a picture with inverse depth (H,W) that the frame `back` ticks ago showed
        too."""
        height, width = nearness.shape
        then = max(0, self.now - back)
        pose, old = self.poses[self.now : self.now + 1], self.poses[then : then + 1]
        rays = pixel_rays(pose, height, width, self.fov_y)[0]
        far = torch.where(nearness > 0, 1.0 / nearness.clamp_min(1e-6), 1e4)
        points = pose[0, :3] + far[..., None] * rays
        column, row, depth = project(points.view(1, -1, 3), old, height, width, self.fov_y)
        x, y = column[0].floor().long(), row[0].floor().long()
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (depth[0] > 0)
        there = self.nearness[then][y.clamp(0, height - 1), x.clamp(0, width - 1)]
        same = (there - 1.0 / depth[0].clamp_min(1e-3)).abs() < 0.03 * there + 1 / 400
        return (inside & same).view(height, width)


def _record(
    tokenizer: Tokenizer, view: View, frame: Tensor, nearness: Tensor, pose: Tensor,
    action: Tensor, control: Tensor,
) -> Record:  # fmt: skip
    code = tokenizer.encode(view.colour, view.nearness)[0]
    masks = tokenizer.mask_tokens(torch.cat([view.sharp, view.edited], dim=1))[0]
    target = tokenizer.encode_frames(frame[None, None], nearness[None, None])[0, 0]
    return Record(
        code.half().numpy(),
        (masks * 255).round().to(torch.uint8).numpy(),
        target.half().numpy(),
        pose[0].numpy(),
        torch.cat([action, control]).numpy(),
    )


def _turned(poses: Tensor, t: int) -> Tensor:
    """The pose before tick t, already turned to the view after it."""
    return torch.cat([poses[t - 1 : t, :3], poses[t : t + 1, 3:]], dim=1)


def _legs(
    poses: Tensor, t: int, inputs: Tensor, quarter: Tensor, motion: Tensor, actions: Tensor,
    pointed: Tensor, events: Tensor,
) -> Legs:  # fmt: skip
    step = turned_by((poses[t, :3] - poses[t - 1, :3])[None], quarter)[0]
    return Legs(
        inputs[0].numpy(), step.numpy(), motion[t - 1].numpy(), actions[t].numpy(),
        pointed[0].numpy(), np.int64(events[t]),
    )  # fmt: skip
