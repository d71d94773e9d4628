"""Condition of a frame: its noise level, its control and the tokens that its action depends on."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Condition(nn.Module):
    """One vector per frame from its noise level and its control."""

    def __init__(self, control_width: int, width: int, bands: int = 16) -> None:
        super().__init__()
        self.bands = bands
        self.level = nn.Sequential(nn.Linear(2 * bands, width), nn.SiLU(), nn.Linear(width, width))
        self.control = nn.Sequential(
            nn.Linear(3 * control_width, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, sigma: Tensor, control: Tensor, told: Tensor | None = None) -> Tensor:
        """sigma (B,T), control (B,T,A+K), what else a frame is told (B,T,D) -> (B,T,D).

        Frequencies grow from 1, not 1000: the derivative to sigma stays small, which
        continuous-time distillation needs.
        """
        frequency = torch.exp(
            torch.arange(self.bands, device=sigma.device) * (math.log(16.0) / self.bands)
        )
        phase = sigma[..., None] * frequency
        waves = torch.cat([phase.cos(), phase.sin()], dim=-1)
        # sines beside the raw values let a linear layer tell small camera steps apart
        rich = torch.cat(
            [control, (math.pi * control).sin(), (4 * math.pi * control).sin()], dim=-1
        )
        summed = self.level(waves) + self.control(rich)
        return F.silu(summed if told is None else summed + told)


class Looked(nn.Sequential):
    """What the tokens that an action depends on, and the action, say together (..., L*C + A + K)
    -> (..., D): whether the player faces what it strikes is no sum over tokens."""

    def __init__(self, inputs: int, width: int) -> None:
        hidden = 2 * width
        super().__init__(
            nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
            nn.Linear(hidden, width),
        )  # fmt: skip
        nn.init.zeros_(self[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self[-1].bias)  # type: ignore[arg-type]
