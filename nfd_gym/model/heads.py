"""RewardHeads: what happened in a frame, read from its latents: dig, place, chop.

A world draws pictures; a task needs facts. The heads look at the recycled last frame (the last
picture as it would be seen after the commanded camera rotation), the new frame and the action.

An event is seen `delay` frames after the one that it is logged for: in Luanti the broken block is
gone one picture later, because meshes are built in another thread (69 of 100 digs).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class HeadsConfig:
    tokens: int = 84
    channels: int = 64
    action_width: int = 25
    events: tuple[str, ...] = ("dig", "place", "chop")
    # "chop" is a "dig" of a tree: whether it is a tree can be learned from all the frames before a
    # dig, not from the one of the dig alone; trees are rare (65 of 1356 digs in the footage).
    parents: tuple[str, ...] = ("", "", "dig")
    hidden: int = 64
    delay: int = 1

    def __post_init__(self) -> None:
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
        h, events = config.hidden, len(config.events)
        self.tokens_in = nn.Linear(3 * config.channels, h)
        self.place = nn.Parameter(torch.zeros(config.tokens, h))
        self.mix = nn.Linear(h, h)
        self.query = nn.Linear(h, events)  # where each event looks: attention over the tokens
        self.where = nn.Parameter(torch.zeros(config.tokens, events))
        self.action = nn.Linear(config.action_width, h)
        self.judge = nn.ModuleList(
            nn.Sequential(nn.Linear(2 * h, h), nn.SiLU(), nn.Linear(h, 1)) for _ in range(events)
        )
        self.register_buffer("offsets", torch.zeros(events))

    def forward(self, latents: Tensor, actions: Tensor) -> Tensor:
        """latents (B, 2, N, C) of the recycled last frame and the frame, actions (B, A) that
        produced it -> logits (B, events)."""
        own = self.factors(latents, actions) - self.offsets
        logits = []
        for index, parent in enumerate(self.config.parents):
            mine = own[:, index]
            if parent:  # believed as much as the weaker of "it was a dig" and "of a tree"
                mine = torch.minimum(mine, own[:, self.config.events.index(parent)])
            logits.append(mine)
        return torch.stack(logits, -1)

    def factors(self, latents: Tensor, actions: Tensor) -> Tensor:
        """Raw logits (B, events); a child event is judged given that its parent happens."""
        if latents.ndim != 4 or latents.shape[1] != 2:
            raise ValueError(f"latents must be (B, 2, N, C), got {tuple(latents.shape)}")
        last, new = latents.unbind(1)
        x = self.tokens_in(torch.cat([last, new, new - last], -1)) + self.place
        x = F.silu(x)
        x = x + F.silu(self.mix(x))
        weight = (self.query(x) + self.where).softmax(1)  # (B, N, events)
        seen = torch.einsum("bne,bnh->beh", weight, x)
        held = F.silu(self.action(actions))
        pairs = [
            judge(torch.cat([seen[:, index], held], -1)) for index, judge in enumerate(self.judge)
        ]
        return torch.cat(pairs, -1)
