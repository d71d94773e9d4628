"""A small stage for tests of the loop: a denoiser that learns frames by flow matching."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfd_gym.data import Loader, open_source
from nfd_gym.diffusion.flow import draw_sigma, interpolate
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.presets import PRESETS
from nfd_gym.train import loop
from nfd_gym.train.loop import LoopConfig, Moment


class Flow:
    """Every draw comes from the moment, so that a resumed run draws the same."""

    name = "flow"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = Denoiser(replace(PRESETS["micro"].denoiser, condition=False))

    def loss(self, batch: Any, moment: Moment) -> tuple[Tensor, dict[str, float]]:
        pixels = torch.from_numpy(batch.frames).float().movedim(-1, 2) / 127.5 - 1  # (B,T,3,H,W)
        b, t = pixels.shape[:2]
        clean = pixels.reshape(b, t, 6, -1)[..., :: 3 * 256 // 8][..., :8].contiguous()
        sigma = draw_sigma((b, t), moment.random, "cpu")
        noise = torch.randn(clean.shape, generator=moment.random)
        level = torch.zeros(b, t)
        actions = torch.from_numpy(batch.actions)
        made = self.model.packed(clean, interpolate(clean, noise, sigma), level, sigma, actions)
        return (made - clean).square().mean(), {}

    def picture(self, batch: Any) -> None:
        return None


def train(store: Path, run: Path, *, batch: int = 2, **settings: Any) -> Path:
    """A run of a few steps; the same call again resumes it."""
    source = open_source(store)
    config = LoopConfig(**{"log_every": 1, "warmup": 1, "cooldown": 0.0, **settings})

    def loader_at(index: int, team: Any) -> Loader:
        return Loader(
            source, window=3, batch=batch, seed=0, first=index, rank=team.rank, ranks=team.ranks
        )

    loop.train(Flow(), loader_at, run, config, "cpu")
    return run
