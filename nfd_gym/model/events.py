"""Events of the coming frame: how likely each is, and which of them happen.

An event is decided by chance or by a hidden clock and seen in a few tokens: a count changes, say.
Samplers of few steps make rare things rarer. So events are drawn from their chances before the
frame is, and the denoiser is told which happen.
"""

import torch
from torch import Tensor, nn

DROPPED = 0.2  # in training: events are few


class Events(nn.Module):
    """A classifier with one output an event."""

    def __init__(self, inputs: int, count: int, hidden: int) -> None:
        super().__init__()
        self.count = count
        self.net = nn.Sequential(
            nn.Linear(inputs, hidden), nn.SiLU(), nn.Dropout(DROPPED),
            nn.Linear(hidden, hidden), nn.SiLU(), nn.Dropout(DROPPED),
            nn.Linear(hidden, count),
        )  # fmt: skip

    def logits(self, inputs: Tensor) -> Tensor:
        """Logits (B,E) that events happen."""
        out: Tensor = self.net(inputs)
        return out

    def drawn(self, inputs: Tensor, noise: Tensor) -> Tensor:
        """Which events happen (B,E), 0 or 1, by a frame's noise (B,N,C)."""
        chance = self.logits(inputs).sigmoid()
        return (uniform(noise[:, : self.count]) < chance).to(chance.dtype)


def uniform(normal: Tensor) -> Tensor:
    """Uniform numbers (...) in [0,1) from standard normal ones (...,C): the fraction of a multiple
    of their sum that is large beside 1. The denoiser sees the normal ones too coarsely to tell."""
    return (1024.0 * normal.double().sum(-1)) % 1.0


def told(happens: Tensor) -> Tensor:
    """What the denoiser is told (...,1+E) of which events happen (...,E): 1 and they. All zeros
    tell nothing."""
    return torch.cat([torch.ones_like(happens[..., :1]), happens], dim=-1)
