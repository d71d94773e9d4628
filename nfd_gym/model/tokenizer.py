"""Tokenizer: frames <-> continuous latents, one token per 16x16 patch.

It starts as a linear patch code (PCA), which is already good and nearly free, and learns only what
is not linear: a small residual net beside the encoder, one beside the decoder, and a refiner that
sees across patch borders. All three are zero-initialised, so training begins at the PCA's quality.

Without the nets (`hidden=0`) the code is a projection: encoding a decoded picture changes nothing,
so a rollout that recycles its own frames loses nothing to the code however long it runs.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    height: int = 112
    width: int = 192
    patch: int = 16
    channels: int = 128
    hidden: int = 192  # width of the nets on the token grid; 0: no nets, only the linear code
    refine: int = 48  # width of the nets at a quarter of the picture's size

    def __post_init__(self) -> None:
        if self.height % self.patch or self.width % self.patch:
            raise ValueError(
                f"picture {self.width}x{self.height} is no multiple of patch {self.patch}; "
                "choose width and height divisible by it"
            )
        if self.patch % 4:
            raise ValueError(f"patch must be a multiple of 4, got {self.patch}")

    @property
    def grid(self) -> tuple[int, int]:
        return self.height // self.patch, self.width // self.patch

    @property
    def tokens(self) -> int:
        return self.grid[0] * self.grid[1]


class Tokenizer(nn.Module):
    """`encode` gives latents (B,N,C) of unit deviation per channel; `decode` inverts it."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        c, patch = config.channels, config.patch
        self.patch_in = nn.Linear(3 * patch * patch, c)
        self.patch_out = nn.Linear(c, 3 * patch * patch)
        self.encoder = EncoderNet(config) if config.hidden else None
        self.decoder = DecoderNet(config) if config.hidden else None
        for parameter in (*self.patch_in.parameters(), *self.patch_out.parameters()):
            parameter.lr_scale = 0.1  # type: ignore[attr-defined]  # already good: only drifts
        self.register_buffer("mean", torch.zeros(c))
        self.register_buffer("std", torch.ones(c))

    def encode(self, pixels: Tensor) -> Tensor:
        """float (B,3,H,W) in [-1,1] -> latents (B,N,C)."""
        raw: Tensor = self.patch_in(self._patches(pixels))
        if self.encoder is not None:
            raw = raw + self.encoder(pixels)
        return (raw - self.mean) / self.std

    def decode(self, latents: Tensor) -> Tensor:
        """latents (B,N,C) -> float (B,3,H,W) in [-1,1]."""
        return self.decode_unclamped(latents).clamp(-1.0, 1.0)

    def decode_unclamped(self, latents: Tensor) -> Tensor:
        """As `decode`, without the clamp that would stop gradients at black and white pixels."""
        raw = latents * self.std + self.mean
        base = self._picture(self.patch_out(raw))
        return base if self.decoder is None else base + self.decoder(latents, base)

    def _patches(self, pixels: Tensor) -> Tensor:
        p = self.config.patch
        return rearrange(pixels, "b c (h p) (w q) -> b (h w) (c p q)", p=p, q=p)

    def _picture(self, patches: Tensor) -> Tensor:
        p, (h, w) = self.config.patch, self.config.grid
        return rearrange(patches, "b (h w) (c p q) -> b c (h p) (w q)", h=h, w=w, c=3, p=p, q=p)

    @torch.no_grad()
    def init_pca(self, pixels: Tensor) -> None:
        """Start from the best linear patch code of `pixels` (B,3,H,W)."""
        patches = self._patches(pixels).reshape(-1, self.patch_in.in_features).double()
        centre = patches.mean(0)
        patches = patches - centre
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        basis = vectors[:, -self.config.channels :].flip(-1)  # (P, C), largest variance first
        self.patch_in.weight.copy_(basis.T)
        self.patch_in.bias.copy_(-(centre @ basis))
        self.patch_out.weight.copy_(basis)
        self.patch_out.bias.copy_(centre)
        self.mean.zero_()
        self.std.copy_(values.flip(-1)[: self.config.channels].clamp_min(1e-8).sqrt())


class EncoderNet(nn.Module):
    """What a linear patch code misses, from a little beyond the patch; zero at the start."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        w, fold = config.refine, config.patch // 4
        self.stem = nn.Conv2d(48, w, 3, padding=1)
        self.conv = nn.Conv2d(w, w, 3, padding=1)
        self.fold = fold
        self.mix = nn.Conv2d(w * fold * fold, config.hidden, 1)
        self.out = nn.Conv2d(config.hidden, config.channels, 3, padding=1)
        _zero(self.out)

    def forward(self, pixels: Tensor) -> Tensor:
        x = F.silu(self.stem(F.pixel_unshuffle(pixels, 4)))
        x = F.silu(x + self.conv(x))
        x = F.silu(self.mix(F.pixel_unshuffle(x, self.fold)))
        residual: Tensor = self.out(x)
        return rearrange(residual, "b c h w -> b (h w) c")


class DecoderNet(nn.Module):
    """Adds what is not linear in the latents; mends texture and patch borders of the base."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.grid = config.grid
        w, hidden, fold = config.refine, config.hidden, config.patch // 4
        self.stem = nn.Conv2d(config.channels, hidden, 3, padding=1)
        self.block = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(hidden, hidden, 3, padding=1),
        )
        self.unfold = nn.Sequential(
            nn.SiLU(), nn.Conv2d(hidden, w * fold * fold, 1), nn.PixelShuffle(fold)
        )
        self.look = nn.Conv2d(48, w, 3, padding=1)
        self.refine = nn.Sequential(nn.SiLU(), nn.Conv2d(w, w, 3, padding=1))
        self.out = nn.Sequential(nn.SiLU(), nn.Conv2d(w, 48, 3, padding=1))
        _zero(self.out[-1])
        _zero(self.block[-1])

    def forward(self, latents: Tensor, base: Tensor) -> Tensor:
        h, w = self.grid
        x = self.stem(rearrange(latents, "b (h w) c -> b c h w", h=h, w=w))
        x = self.unfold(x + self.block(x)) + self.look(F.pixel_unshuffle(base, 4))
        x = x + self.refine(x)
        return F.pixel_shuffle(self.out(x), 4)


def _zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
