"""Layer memory: a still background and flat things on it, each as a texture in its own axes.

A pose holds the things' places (right, down, each -1 to 1 over the picture) and angles. The view is
the background with the things laid on it in order, sampled several times a pixel. What the things
look like is learned from recordings; nothing is written while one plays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nfd_gym import settings
from nfd_gym.memory import View
from nfd_gym.memory.none import Unwritten, whole_view
from nfd_gym.model.tokenizer import Tokenizer

NO_ANGLE = -1
SAMPLES = 3  # a side of a pixel


@dataclass(frozen=True, kw_only=True)
class LayerConfig:
    height: int
    width: int
    places: tuple[tuple[int, int, int], ...]  # columns of a pose: right, down, angle or NO_ANGLE
    reach: tuple[float, ...]  # half a texture's side, in half pictures
    texels: tuple[int, ...]  # a texture's side


class LayerMemory(Unwritten):
    """The view at a pose, whatever was shown before."""

    kind = "layers"

    def __init__(self, shape: LayerConfig, tensors: Mapping[str, Tensor] | None = None) -> None:
        self.shape = shape
        if tensors is None:
            blank = {f"layer{i}": torch.zeros(4, s, s) for i, s in enumerate(shape.texels)}
            tensors = {"background": torch.zeros(3, shape.height, shape.width), **blank}
        self.background = tensors["background"]
        self.textures = [tensors[f"layer{i}"] for i in range(len(shape.texels))]

    def read(self, state: tuple[()], frame: Tensor, pose: Tensor) -> View:
        return whole_view(self.render(pose))

    def render(self, pose: Tensor) -> Tensor:
        """Pictures (B,3,H,W) in [-1,1] at poses (B,P); differentiable."""
        picture = self.background.to(pose.device).expand(len(pose), -1, -1, -1)
        for number, texture in enumerate(self.textures):
            layer = self._laid(texture.to(pose.device), pose, number)
            picture = picture * (1 - layer[:, 3:].clamp(0, 1)) + layer[:, :3]
        return picture.clamp(-1, 1)

    def config(self) -> dict[str, Any]:
        return settings.to_json(self.shape)

    def tensors(self) -> dict[str, Tensor]:
        """Background (3,H,W) and textures (4,S,S): colour times cover, and cover."""
        layers = {f"layer{i}": texture for i, texture in enumerate(self.textures)}
        return {"background": self.background, **layers}

    @classmethod
    def build(
        cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor], code: Tokenizer
    ) -> "LayerMemory":
        return cls(settings.from_json(LayerConfig, config, "memory"), tensors)

    def _laid(self, texture: Tensor, pose: Tensor, number: int) -> Tensor:
        """Colour times cover, and cover (B,4,H,W), of a thing at poses (B,P)."""
        right, down, turn = self.shape.places[number]
        angle = torch.zeros_like(pose[:, 0]) if turn == NO_ANGLE else pose[:, turn]
        x = middles(self.shape.width * SAMPLES, pose) - pose[:, right, None]  # (B,W*)
        y = middles(self.shape.height * SAMPLES, pose) - pose[:, down, None]
        cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
        across = cos * x[:, None] + sin * y[:, :, None]
        along = cos * y[:, :, None] - sin * x[:, None]
        grid = torch.stack([across, along], -1) / self.shape.reach[number]
        seen = F.grid_sample(
            texture.expand(len(pose), -1, -1, -1), grid, align_corners=False
        )  # nothing beyond the texture
        return F.avg_pool2d(seen, SAMPLES)


def middles(count: int, like: Tensor) -> Tensor:
    """Middles (count,) of pixels, -1 to 1."""
    return (2 * torch.arange(count, device=like.device, dtype=like.dtype) + 1) / count - 1
