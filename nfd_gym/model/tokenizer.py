"""Tokenizer: frames <-> continuous latents, one token a patch, colour and inverse depth together.

By default a linear patch code (principal components), so it is a projection: encoding a decoded
frame changes nothing, and a rollout loses nothing to the code however long it runs. Latents have
the deviation std^(1 - whiten): whiten = 1 gives every channel unit deviation, 0.5 keeps half of the
natural spectrum, so that noise drowns fine detail before coarse shape. With `hidden` set, colour is
coded by the autoencoder of patch_net.py.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn

from nfd_gym.errors import UsageError
from nfd_gym.model.patch_net import PatchNet
from nfd_gym.model.pixels import to_float

NEAREST = 2.56  # nearness (1/m) that the code maps to 1


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    height: int = 112
    width: int = 192
    patch: int = 16
    channels: int = 128  # of colour
    depth_channels: int = 0  # of inverse depth; 0: a world without depth
    whiten: float = 1.0  # of linear codes
    hidden: int = 0  # width of an autoencoder of colour; 0: a linear code

    def __post_init__(self) -> None:
        if self.height % self.patch or self.width % self.patch:
            raise UsageError(
                f"picture {self.width}x{self.height} is no multiple of patch {self.patch}; "
                "choose width and height divisible by it"
            )
        if self.patch % 4:
            raise UsageError(f"patch must be a multiple of 4, got {self.patch}")
        if not 0.0 <= self.whiten <= 1.0:
            raise UsageError(f"whiten must be within 0 and 1, got {self.whiten}")

    @property
    def grid(self) -> tuple[int, int]:
        return self.height // self.patch, self.width // self.patch

    @property
    def tokens(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def latents(self) -> int:
        """Channels C of a token."""
        return self.channels + self.depth_channels


class PatchCode(nn.Module):
    """Linear code of (B,K,H,W) pictures: K*p*p values of a patch <-> `channels` numbers."""

    mean: Tensor
    basis: Tensor
    std: Tensor

    def __init__(self, planes: int, patch: int, channels: int, whiten: float) -> None:
        super().__init__()
        self.planes, self.patch, self.whiten = planes, patch, whiten
        self.register_buffer("mean", torch.zeros(planes * patch * patch))
        self.register_buffer("basis", torch.eye(planes * patch * patch, channels))
        self.register_buffer("std", torch.ones(channels))

    def encode(self, picture: Tensor) -> Tensor:
        p = self.patch
        patches = rearrange(picture, "b k (h p) (w q) -> b (h w) (k p q)", p=p, q=p)
        code: Tensor = (patches - self.mean) @ self.basis / self._scale()
        return code

    def decode(self, code: Tensor, grid: tuple[int, int]) -> Tensor:
        p, (h, w) = self.patch, grid
        patches = (code * self._scale()) @ self.basis.T + self.mean
        return rearrange(
            patches, "b (h w) (k p q) -> b k (h p) (w q)", h=h, w=w, k=self.planes, p=p, q=p
        )

    def mean_square(self, difference: Tensor) -> Tensor:
        """Mean square (...,) over a patch's values of what differs by (...,C) in code."""
        return (difference * self._scale()).square().sum(-1) / len(self.mean)

    def _scale(self) -> Tensor:
        return self.std**self.whiten * self.std[0] ** (1 - self.whiten)

    @torch.no_grad()
    def fit(self, pictures: Tensor) -> None:
        """Principal components of pictures (B,K,H,W)."""
        p = self.patch
        patches = rearrange(pictures, "b k (h p) (w q) -> (b h w) (k p q)", p=p, q=p).double()
        centre = patches.mean(0)
        patches = patches - centre
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        count = self.basis.shape[1]
        self.mean.copy_(centre)
        self.basis.copy_(vectors[:, -count:].flip(-1))
        self.std.copy_(values.flip(-1)[:count].clamp_min(1e-8).sqrt())


class Tokenizer(nn.Module):
    """`encode` gives latents (B,N,C), colour channels first; `decode` inverts it."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.colour: PatchCode | PatchNet = (
            PatchNet(3, config.patch, config.channels, config.hidden)
            if config.hidden
            else PatchCode(3, config.patch, config.channels, config.whiten)
        )
        self.depth = (
            PatchCode(1, config.patch, config.depth_channels, config.whiten)
            if config.depth_channels
            else None
        )

    def encode(self, colour: Tensor, nearness: Tensor | None = None) -> Tensor:
        """Colour (B,3,H,W) in [-1,1], nearness (B,1,H,W) in 1/m -> latents (B,N,C)."""
        code = self.colour.encode(colour)
        if self.depth is None:
            return code
        assert nearness is not None
        return torch.cat([code, self.depth.encode(depth_code(nearness))], dim=-1)

    def decode(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B,N,C) -> colour (B,3,H,W), unclamped, and nearness (B,1,H,W) or (B,0,H,W)."""
        channels, grid = self.config.channels, self.config.grid
        colour = self.colour.decode(latents[..., :channels], grid)
        if self.depth is None:
            return colour, colour[:, :0]
        return colour, nearness_of(self.depth.decode(latents[..., channels:], grid))

    def encode_frames(self, frames: Tensor, nearness: Tensor) -> Tensor:
        """Clips uint8 (B,T,H,W,3) and nearness (B,T,H,W) -> latents (B,T,N,C)."""
        colour = to_float(frames.flatten(0, 1))
        near = nearness.flatten(0, 1)[:, None] if self.depth is not None else None
        latents: Tensor = self.encode(colour, near).unflatten(0, frames.shape[:2])
        return latents

    def mask_tokens(self, masks: Tensor) -> Tensor:
        """Masks (B,K,H,W), or (B,K,4h,4w), -> (B,N,16*K): means over a 4x4 grid in each token."""
        if masks.shape[-1] != 4 * self.config.grid[1]:  # it may be given as such means
            masks = F.avg_pool2d(masks, self.config.patch // 4)
        return rearrange(masks, "b k (h p) (w q) -> b (h w) (k p q)", p=4, q=4)

    def token_min(self, picture: Tensor) -> Tensor:
        """Least value (B,1,h,w) of each token in (B,K,H,W), or any other multiple of h and w."""
        p = picture.shape[-1] // self.config.grid[1]
        return reduce(picture, "b k (h p) (w q) -> b 1 h w", "min", p=p, q=p)

    def token_max(self, picture: Tensor) -> Tensor:
        """Largest value (B,1,h,w) of each token in (B,K,H,W); 0 of no planes."""
        h, w = self.config.grid
        if not picture.shape[1]:
            return picture.new_zeros(len(picture), 1, h, w)
        p = picture.shape[-1] // w
        return reduce(picture, "b k (h p) (w q) -> b 1 h w", "max", p=p, q=p)

    def token_rms(self, picture: Tensor) -> Tensor:
        """Root mean square (B,1,h,w) of each token in (B,K,H,W)."""
        p = self.config.patch
        square: Tensor = reduce(picture**2, "b k (h p) (w q) -> b 1 h w", "mean", p=p, q=p)
        return square.sqrt()

    def spread(self, tokens: Tensor) -> Tensor:
        """Token values (B,1,h,w) at every pixel (B,1,H,W)."""
        p = self.config.patch
        return tokens.repeat_interleave(p, -2).repeat_interleave(p, -1)


def depth_code(nearness: Tensor) -> Tensor:
    """Nearness in 1/m -> about [-1, 1]; the root spreads what is far."""
    return 2.0 * (nearness.clamp_min(0.0) / NEAREST).sqrt() - 1.0


def nearness_of(code: Tensor) -> Tensor:
    """Inverse of `depth_code`."""
    return ((code + 1.0) / 2.0).clamp_min(0.0).square() * NEAREST
