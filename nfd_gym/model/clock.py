"""Clock: the time of day in a picture, read from how light its patches are.

One frame says how dark it is; two say whether it grows darker. The hour is told as one of BINS.
"""

import torch
from torch import Tensor, nn

from nfd_gym.model.pixels import to_float

BINS = 30  # of a period
HIDDEN = 128


class Clock(nn.Module):
    def __init__(self, patches: int, tile: int, period: int) -> None:
        super().__init__()
        self.tile, self.period = tile, period
        self.hours = nn.Sequential(
            nn.Linear(2 * 3 * patches, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(),
            nn.Linear(HIDDEN, BINS),
        )  # fmt: skip

    def read(self, frames: Tensor) -> Tensor:
        """Steps of the period (B,) at the last of frames uint8 (B,T,H,W,3)."""
        hour = self.logits(self.inputs(frames[:, -2:])).argmax(-1)
        return (hour + 0.5) * (self.period / BINS)

    def inputs(self, frames: Tensor) -> Tensor:
        """Mean colours (B,2*3*patches) of the patches of frames uint8 (B,1 or 2,H,W,3), and how
        the last two differ."""
        means = nn.functional.avg_pool2d(to_float(frames.flatten(0, 1)), self.tile)
        means = means.flatten(1).unflatten(0, frames.shape[:2])
        last, before = means[:, -1], means[:, 0]
        return torch.cat([last, 8 * (last - before)], dim=-1)

    def logits(self, inputs: Tensor) -> Tensor:
        """Logits (B,BINS) of the hours."""
        out: Tensor = self.hours(inputs)
        return out

    def hour(self, steps: Tensor) -> Tensor:
        """The bin (B,) of steps of the period."""
        return (steps % self.period / (self.period / BINS)).long().clamp_max(BINS - 1)
