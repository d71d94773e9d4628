"""Patch autoencoder: K*p*p values of a patch <-> `channels` numbers, by a small network each way.

A code lies on a sphere: its root mean square is 1. The decoder is trained under noise on the code,
so codes of different things lie apart, and what is near one of them is drawn as that thing: errors
of a sampler do not add up over a rollout. For pictures made of few things (sprites, digits) it
needs fewer channels than a linear code, and loses grain that no code could hold.
"""

import torch
from einops import rearrange
from torch import Tensor, nn


class PatchNet(nn.Module):
    def __init__(self, planes: int, patch: int, channels: int, hidden: int) -> None:
        super().__init__()
        self.planes, self.patch = planes, patch
        size = planes * patch * patch
        self.inwards = _network(size, hidden, channels)
        self.outwards = _network(channels, hidden, size)

    def encode(self, picture: Tensor) -> Tensor:
        """Pictures (B,K,H,W) -> codes (B,N,C)."""
        p = self.patch
        return self.code(rearrange(picture, "b k (h p) (w q) -> b (h w) (k p q)", p=p, q=p))

    def decode(self, code: Tensor, grid: tuple[int, int]) -> Tensor:
        """Codes (B,N,C) -> pictures (B,K,H,W)."""
        p, (h, w) = self.patch, grid
        return rearrange(
            self.patches(code),
            "b (h w) (k p q) -> b k (h p) (w q)", h=h, w=w, k=self.planes, p=p, q=p,
        )  # fmt: skip

    def code(self, patches: Tensor) -> Tensor:
        """Codes (...,C) of patches (...,K*p*p)."""
        raw: Tensor = self.inwards(patches)
        return raw * torch.rsqrt(raw.square().mean(-1, keepdim=True) + 1e-6)

    def patches(self, code: Tensor) -> Tensor:
        """Patches (...,K*p*p) of codes (...,C)."""
        out: Tensor = self.outwards(code)
        return out

    def mean_square(self, difference: Tensor) -> Tensor:
        """Mean square (...,) over the channels of what differs by (...,C) in code."""
        return difference.square().mean(-1)


def _network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
        nn.Linear(hidden, outputs),
    )  # fmt: skip
