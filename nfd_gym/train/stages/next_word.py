"""Stage: an autoregressive world model, by cross-entropy of every word of a clip."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nfd_gym.baselines import fsq
from nfd_gym.baselines.autoregressive import Autoregressive
from nfd_gym.train.loop import Moment
from nfd_gym.train.stages.tokens import TokenBatch

CODES = 400_000  # tokens that the vocabulary is fitted to
CHUNK = 8192


@dataclass(frozen=True, kw_only=True)
class NextWordLoss:
    levels: tuple[int, ...] = (8, 8, 8, 8)  # of the quantiser; its most used words are kept
    fitting: int = 5000  # steps of the vocabulary


class NextWordStage:
    name = "denoiser"

    def __init__(self, model: Autoregressive) -> None:
        self.model = model

    def loss(self, batch: TokenBatch, moment: Moment) -> tuple[Tensor, dict[str, float]]:
        told = self.model.words(batch.target)
        logits = self.model.logits(told, batch.actions)
        nats = F.cross_entropy(logits.flatten(0, 2), told.flatten(), reduction="none")
        last = nats.unflatten(0, told.shape)[:, -1]
        return nats.mean(), {"nats_last_frame": last.mean().item()}

    def picture(self, batch: TokenBatch) -> Tensor | None:
        return None


def codebook(folder: Path, loss: NextWordLoss, count: int, seed: int = 0) -> Tensor:
    """Codes (count,C) of the most used words of a quantiser, which is fitted to recorded tokens,
    rare ones as often as it can."""
    codes = np.load(folder / "codes.npy", mmap_mode="r", allow_pickle=False)
    rows = np.sort(np.random.default_rng(seed).integers(len(codes), size=CODES // codes.shape[1]))
    sample = torch.from_numpy(codes[rows]).float().flatten(0, 1)
    table = fsq.fit(sample, rarity(sample), loss.levels, seed, loss.fitting)
    used = torch.cat([fsq.words(part, table) for part in sample.split(CHUNK)])
    return table[used.bincount(minlength=len(table)).topk(count).indices]


def rarity(codes: Tensor) -> Tensor:
    """One over the root of how many codes (n,C) have the same signs; float64 (n,)."""
    _, kind, counts = (codes > 0).unique(dim=0, return_inverse=True, return_counts=True)
    weight: Tensor = counts[kind].double().rsqrt()
    return weight
