"""A cheap drift meter: how unlike a real frame's latents the present frame's latents are.

Long dreams fail by going grey, blurry or noisy, and all three change the spread of latent channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

FEWEST = 16  # frames from which on a spread can be told


@dataclass(frozen=True)
class Drift:
    """Statistics of real frames; calling it gives 1.0 for an ordinary frame, more for odd ones."""

    mean: Tensor  # (2C,)
    spread: Tensor  # (2C,)

    @classmethod
    def of(cls, latents: Tensor) -> "Drift | None":
        """From the latents (frames, N, C) of real frames; None if they are too few."""
        if len(latents) < FEWEST:
            return None
        values = _statistics(latents)
        return cls(values.mean(0), values.std(0).clamp_min(1e-3))

    @torch.no_grad()
    def __call__(self, latents: Tensor) -> Tensor:
        """(B,N,C) -> (B,): root mean square distance from real frames, in standard deviations."""
        return ((_statistics(latents) - self.mean) / self.spread).square().mean(-1).sqrt()


def _statistics(latents: Tensor) -> Tensor:
    """(B,N,C) -> (B,2C): mean and log standard deviation of every channel over the picture."""
    return torch.cat([latents.mean(1), latents.std(1).clamp_min(1e-4).log()], dim=-1)
