"""Stage 1: the tokenizer. Losses need no pretrained net: L1, structural similarity, gradients."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nfd_gym.data.loader import Batch
from nfd_gym.model.pixels import to_float, to_uint8
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train.loop import Moment


@dataclass(frozen=True, kw_only=True)
class TokenizerLoss:
    square: float = 10.0
    ssim: float = 0.5
    gradient: float = 1.0
    latent_noise: float = (
        0.03  # up to this much noise on the unit-std latents, so that decoding is robust
    )


class TokenizerStage:
    name = "tokenizer"

    def __init__(self, model: Tokenizer, config: TokenizerLoss, device: str) -> None:
        self.model, self.config, self.device = model, config, device

    def loss(self, batch: Batch, moment: Moment) -> tuple[Tensor, dict[str, float]]:
        pixels = to_float(torch.from_numpy(batch.frames).to(self.device).flatten(0, 1))
        latents = self.model.encode(pixels)
        level = torch.rand(len(latents), 1, 1, generator=moment.random, device=self.device)
        noise = torch.randn(latents.shape, generator=moment.random, device=self.device)
        picture = self.model.decode_unclamped(latents + self.config.latent_noise * level * noise)
        total, logs = picture_loss(picture, pixels, self.config)
        return total, logs | {"std": latents.detach().std().item()}

    def picture(self, batch: Batch) -> Tensor:
        pixels = to_float(torch.from_numpy(batch.frames[:1, :4]).to(self.device).flatten(0, 1))
        pair = torch.cat([pixels, self.model.decode(self.model.encode(pixels))])
        rows = to_uint8(pair).unflatten(0, (2, -1))
        return torch.cat([torch.cat(list(row), dim=1) for row in rows])


def picture_loss(
    picture: Tensor, pixels: Tensor, config: TokenizerLoss
) -> tuple[Tensor, dict[str, float]]:
    """How far decoded pictures (B,3,H,W) are from `pixels`, and figures to log."""
    l1 = (picture - pixels).abs().mean()
    total = l1 + config.square * (picture - pixels).square().mean()
    total = total + config.ssim * (1.0 - ssim(picture, pixels).mean())
    total = total + config.gradient * gradient_difference(picture, pixels)
    mse = (picture.detach().clamp(-1, 1) - pixels).square().mean((1, 2, 3))
    psnr = (10 * torch.log10(4.0 / mse.clamp_min(1e-10))).mean()
    return total, {"l1": l1.item(), "psnr": psnr.item()}


def ssim(a: Tensor, b: Tensor, size: int = 7) -> Tensor:
    """Structural similarity map of pictures in [-1, 1] with a box window (cheap, no borders)."""

    def pool(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, size, stride=2)

    mean_a, mean_b = pool(a), pool(b)
    var_a, var_b = pool(a * a) - mean_a**2, pool(b * b) - mean_b**2
    cov = pool(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    return top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))


def gradient_difference(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of neighbour differences, both ways: punishes wash and blur."""
    d = a - b
    return (d[..., 1:] - d[..., :-1]).abs().mean() + (d[..., 1:, :] - d[..., :-1, :]).abs().mean()
