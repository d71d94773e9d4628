"""Events of the coming frame: which numbers rise and fall, by how likely that is.

A number (health, a count) changes by chance or by a hidden clock, and a few tokens show it.
Samplers of few steps make rare things rarer. So events are drawn from their chances before the
frame is, and the denoiser is told what rises and falls.
"""

import torch
from torch import Tensor, nn

DROPPED = 0.2  # in training: events are few
FALLS, STAYS, RISES = range(3)


class Events(nn.Module):
    """A classifier of E numbers."""

    def __init__(self, inputs: int, count: int, hidden: int) -> None:
        super().__init__()
        self.count = count
        self.net = nn.Sequential(
            nn.Linear(inputs, hidden), nn.SiLU(), nn.Dropout(DROPPED),
            nn.Linear(hidden, hidden), nn.SiLU(), nn.Dropout(DROPPED),
            nn.Linear(hidden, 3 * count),
        )  # fmt: skip

    def logits(self, inputs: Tensor) -> Tensor:
        """Logits (B,E,3) that numbers fall, stay and rise."""
        out: Tensor = self.net(inputs)
        return out.view(*out.shape[:-1], self.count, 3)

    def drawn(self, inputs: Tensor, noise: Tensor) -> Tensor:
        """What each number does (B,E), -1, 0 or 1, by a frame's noise (B,N,C)."""
        chance = self.logits(inputs).softmax(-1)
        at = uniform(noise[:, : self.count])
        rises, falls = at >= 1 - chance[..., RISES], at < chance[..., FALLS]
        drawn: Tensor = rises.to(chance.dtype) - falls.to(chance.dtype)
        return drawn


def uniform(normal: Tensor) -> Tensor:
    """Uniform numbers (...) in [0,1) from standard normal ones (...,C): the fraction of a multiple
    of their sum that is large beside 1. The denoiser sees the normal ones too coarsely to tell."""
    return (1024.0 * normal.double().sum(-1)) % 1.0


def told(changes: Tensor) -> Tensor:
    """What the denoiser is told (...,1+E) of what numbers do (...,E): 1 and that. All zeros tell
    nothing."""
    return torch.cat([torch.ones_like(changes[..., :1]), changes], dim=-1)
