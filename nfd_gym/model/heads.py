"""RewardHeads: what happened in a frame, read from the last pictures of what the player aims at.

A world draws pictures; a task needs facts. What is dug or placed is at the crosshair, and one sees
it in a few frames: cracks, a whole block for a moment, a hole. So the heads look at a square around
the crosshair in the last frames, and at the action.

An event is seen `delay` frames after the one that it is logged for: in Luanti the broken block is
gone one picture later, because meshes are built in another thread (69 of 100 digs).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfd_gym.model.pixels import to_float


@dataclass(frozen=True, kw_only=True)
class HeadsConfig:
    size: int = 64  # pixels of the square's side
    frames: int = 4  # the last ones, the present one among them
    action_width: int = 25
    events: tuple[str, ...] = ("dig", "place", "chop")
    # "chop" is a "dig" of a tree: whether it is a tree can be learned from all the frames before a
    # dig, not from the one of the dig alone; trees are rare (65 of 1356 digs in the footage).
    parents: tuple[str, ...] = ("", "", "dig")
    hidden: int = 32
    delay: int = 1

    def __post_init__(self) -> None:
        if self.frames < 2 or self.size < 16:
            raise ValueError(
                f"heads need at least 2 frames of 16 pixels, got {self.frames} of {self.size}"
            )
        if len(self.parents) != len(self.events):
            raise ValueError(f"one parent (or '') per event: {self.events} against {self.parents}")
        for event, parent in zip(self.events, self.parents, strict=True):
            if parent and (parent not in self.events or self.parents[self.events.index(parent)]):
                raise ValueError(f"{event!r} has parent {parent!r}, which is no top event")


class RewardHeads(nn.Module):
    """Logits of the events of a frame, shifted so that an event counts from 0 (belief 1/2) on."""

    offsets: Tensor  # the raw logits that give the best F1 on held-out recordings

    def __init__(self, config: HeadsConfig) -> None:
        super().__init__()
        self.config = config
        h, k = config.hidden, config.frames
        self.top = [i for i, parent in enumerate(config.parents) if not parent]
        self.child = [i for i, parent in enumerate(config.parents) if parent]
        self.watch = _eyes(3 * k + 3 * (k - 1), h)  # frames, and what changed between them
        self.action = nn.Linear(config.action_width, h)
        self.happens = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(7 * h, 2 * h), nn.SiLU(), nn.Linear(2 * h, len(self.top))
        )
        self.look = _eyes(3, h // 2)
        self.kind = nn.Sequential(nn.Dropout(0.2), nn.Linear(3 * h, len(self.child)))
        self.register_buffer("offsets", torch.zeros(len(config.events)))

    def forward(self, glimpses: Tensor, actions: Tensor) -> Tensor:
        """glimpses uint8 (B, frames, size, size, 3), actions (B, A) that produced the last ->
        logits (B, events)."""
        want = (self.config.frames, self.config.size, self.config.size, 3)
        if glimpses.dtype != torch.uint8 or glimpses.shape[1:] != want:
            raise ValueError(
                f"glimpses must be uint8 (B, {', '.join(map(str, want))}), got {glimpses.dtype} "
                f"{tuple(glimpses.shape)}"
            )
        seen = to_float(glimpses)
        own = self.factors(seen, seen, actions) - self.offsets
        logits = []
        for index, parent in enumerate(self.config.parents):
            mine = own[:, index]
            if parent:  # believed as much as the weaker of "it was a dig" and "of a tree"
                mine = torch.minimum(mine, own[:, self.config.events.index(parent)])
            logits.append(mine)
        return torch.stack(logits, -1)

    def factors(self, moving: Tensor, coloured: Tensor, actions: Tensor) -> Tensor:
        """Raw logits (B, events) of pictures (B, frames, 3, size, size) in [-1, 1]. Whether
        something happens is told from how `moving` pictures change. A child event is judged given
        that its parent happens, from the middle of the first of the `coloured` ones, where the
        block still is. In play both are the same."""
        changes = 2 * moving.diff(dim=1)
        seen = _pooled(self.watch(torch.cat([moving, changes], dim=1).flatten(1, 2)))
        happens = self.happens(torch.cat([seen, F.silu(self.action(actions))], dim=-1))
        rim = 3 * self.config.size // 16
        block = coloured[:, 0, :, rim:-rim, rim:-rim]
        kind = self.kind(_pooled(self.look(block)))
        out: Tensor = happens.new_zeros(len(happens), len(self.config.events))
        out[:, self.top], out[:, self.child] = happens, kind
        return out


def glimpse(frames: Tensor, size: int) -> Tensor:
    """(...,H,W,3) -> the square (...,size,size,3) around the crosshair."""
    height, width = frames.shape[-3:-1]
    top, left = (height - size) // 2, (width - size) // 2
    return frames[..., top : top + size, left : left + size, :]


def glance(glimpses: Tensor, frame: Tensor) -> Tensor:
    """The last glimpses (B,K,size,size,3) once `frame` (B,H,W,3) is on show too."""
    if not glimpses.shape[1]:  # nobody looks
        return glimpses
    new = glimpse(frame, glimpses.shape[2])
    return torch.cat([glimpses[:, 1:], new[:, None]], dim=1)


def _eyes(channels: int, h: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i, (wide, into) in enumerate(((channels, h), (h, 2 * h), (2 * h, 3 * h), (3 * h, 3 * h))):
        kernel = 3 if i else 5
        layers += [nn.Conv2d(wide, into, kernel, 2, kernel // 2), nn.GroupNorm(4, into), nn.SiLU()]
    return nn.Sequential(*layers)


def _pooled(features: Tensor) -> Tensor:
    """(B,C,h,w) -> (B,2C): what is there on the whole, and what is there anywhere."""
    flat = features.flatten(2)
    return torch.cat([flat.mean(-1), flat.amax(-1)], dim=-1)
