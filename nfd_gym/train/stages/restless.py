"""How likely a token of a remembered view is to become another thing: where a loss should look.

Creatures and counts are few among the tokens, and errors of grain outweigh them. A weight that
depends on what is shown before a frame, and not on what came out, leaves every chance as it is.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

OTHER = 0.3  # mean square of the code's change from which a token is another thing
BATCH, STEPS, RATE, HIDDEN = 4096, 1500, 3e-3, 64


class Restless(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(channels, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(),
            nn.Linear(HIDDEN, 1),
        )  # fmt: skip

    def forward(self, view: Tensor) -> Tensor:
        """Logits (...,) that tokens (...,C) of a view change."""
        out: Tensor = self.net(view)[..., 0]
        return out

    @torch.no_grad()
    def near(self, view: Tensor, age: Tensor, grid: tuple[int, int]) -> Tensor:
        """The most restless chance (B,T,N) of every token and its neighbours; unknown tokens, which
        always change, do not count."""
        chance = self(view).sigmoid() * (age >= 0)
        planes = chance.flatten(0, 1).unflatten(-1, grid)[:, None]
        return F.max_pool2d(planes, 3, 1, 1).flatten(1).reshape(chance.shape)


def fit(folder: Path, seed: int = 0, count: int = STEPS) -> Restless:
    """Fitted to the tokens that `sources.write` left in a folder."""
    codes, again, sources, ages = (
        np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        for name in ("codes", "again", "sources", "ages")
    )
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    net, batch = Restless(codes.shape[-1]), min(BATCH, codes.shape[0] * codes.shape[1])
    optimiser = torch.optim.AdamW(net.parameters(), RATE)
    for number in range(count):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - number / count)
        row, token = (random.integers(n, size=batch) for n in codes.shape[:2])
        seen = ages[row, token] >= 0
        row, token = row[seen], token[seen]
        source = sources[row, token]
        view = torch.from_numpy(again[source // codes.shape[1], source % codes.shape[1]]).float()
        change = torch.from_numpy(codes[row, token]).float() - view
        other = (change.square().mean(-1) > OTHER).float()
        loss = F.binary_cross_entropy_with_logits(net(view), other)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval().requires_grad_(False)
