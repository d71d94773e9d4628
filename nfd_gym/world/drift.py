"""A drift meter: how unlike a real frame's latents the present frame's latents are.

Long rollouts fail by going grey, blurry or noisy, and all three change the spread of the channels.
Its statistics are part of the world, so that no recording is read to make an env.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

FEWEST = 16  # frames from which on a spread can be told


@dataclass(frozen=True)
class Drift:
    """Statistics of real frames; calling it gives 1.0 for an ordinary frame, more for odd ones."""

    mean: tuple[float, ...]  # (2C,)
    spread: tuple[float, ...]  # (2C,)

    @classmethod
    def of(cls, latents: Tensor) -> "Drift | None":
        """From the latents (frames, N, C) of real frames; None if they are too few."""
        if len(latents) < FEWEST:
            return None
        values = _statistics(latents)
        spread = values.std(0).clamp_min(1e-3)
        return cls(tuple(values.mean(0).tolist()), tuple(spread.tolist()))

    @torch.no_grad()
    def __call__(self, latents: Tensor) -> Tensor:
        """(B,N,C) -> (B,): root mean square distance from real frames, in standard deviations."""
        mean, spread = latents.new_tensor(self.mean), latents.new_tensor(self.spread)
        return ((_statistics(latents) - mean) / spread).square().mean(-1).sqrt()


def _statistics(latents: Tensor) -> Tensor:
    """(B,N,C) -> (B,2C): mean and log standard deviation of every channel over the picture."""
    return torch.cat([latents.mean(1), latents.std(1).clamp_min(1e-4).log()], dim=-1)
