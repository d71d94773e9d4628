"""Body of a player that is a spot of one colour in the picture and is steered by places in it.

Its place is read from the last frame; it arrives a fixed share of the way nearer to where the
action points. The denoiser is told both places, and draws what stands in the way.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from nfd_gym.model.body import Move

Colour = tuple[float, float, float]
LEAST = 0.3  # share of the spot's colour from which on a pixel counts


@dataclass(frozen=True, kw_only=True)
class SpotConfig:
    colour: Colour  # of the spot, 0..255
    among: tuple[Colour, Colour, Colour]  # the flat colours that pixels may mix with it
    gain: float  # share of the way to the action's place that is made in a step


class SpotBody:
    """No eye and no pose. A place is (right, down), each -1 to 1 over the picture."""

    kind = "spot"
    width = 4  # the present place and the next
    pose_width = 0
    reads = True
    edits: tuple[str, ...] = ()

    def __init__(self, config: SpotConfig) -> None:
        self.settings = config
        base = torch.tensor(config.among[0], dtype=torch.float32)
        ends = torch.tensor([*config.among[1:], config.colour], dtype=torch.float32) - base
        self._weight = torch.linalg.inv(ends)[:, 2]
        self._base = base

    def place(self, frame: Tensor) -> Tensor:
        """Places (B,2) of the spot in frames uint8 (B,H,W,3); the middle where there is none."""
        share = (frame.float() - self._base.to(frame.device)) @ self._weight.to(frame.device)
        mass = (share - LEAST).clamp(0.0, 1.0)
        total = mass.sum((1, 2)).clamp_min(1e-6)
        right = (mass.sum(1) @ middles(frame.shape[2], mass)) / total
        down = (mass.sum(2) @ middles(frame.shape[1], mass)) / total
        return torch.stack([right, down], -1)

    def move(self, memory: Any, state: Any, action: Tensor) -> Move:
        """What the denoiser is told under `action` (B,A), whose first two numbers are a place."""
        now = self.place(state.frame)
        after = now + self.settings.gain * (action[:, :2] - now)
        return Move(state.pose, state.motion, torch.cat([now, after], -1))

    def read(self, frames: Tensor, actions: Tensor) -> Tensor:
        """Poses (B,T,0)."""
        return actions[..., :0]

    def start(self, poses: Tensor, actions: Tensor) -> Tensor:
        """Motion (B,0): the picture says everything."""
        return actions.new_zeros(len(actions), 0)

    def config(self) -> dict[str, Any]:
        """JSON-able settings, as `build` takes them."""
        return asdict(self.settings)

    def tensors(self) -> dict[str, Tensor]:
        """Weights, as `build` takes them: none."""
        return {}

    @classmethod
    def build(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "SpotBody":
        among = tuple(tuple(colour) for colour in config["among"])
        return cls(SpotConfig(colour=tuple(config["colour"]), among=among, gain=config["gain"]))  # type: ignore[arg-type]


def middles(count: int, like: Tensor) -> Tensor:
    """Middles (count,) of pixels, -1 to 1."""
    return (2 * torch.arange(count, device=like.device, dtype=like.dtype) + 1) / count - 1
