"""How likely a token of a remembered view is to become another thing: where a loss should look.

Creatures and counts are few among the tokens, and errors of grain outweigh them. A weight that
depends on what is known before a frame, its action included, and not on what came out, leaves every
chance as it is.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from nfd_gym.memory.tiles import lasted

OTHER = 0.3  # mean square of the code's change from which a token is another thing
RARE = 0.1  # a chance that gets half of the full weight
EDGES = (0.05, 0.2, 0.7)  # of the bins that rows are drawn by
CHUNK = 512
BATCH, STEPS, RATE, HIDDEN, PLACE, MASK = 4096, 3000, 3e-3, 128, 16, 16


class Restless(nn.Module):
    """`looks` are the tokens that decide what an action does: the player's and those beside it."""

    def __init__(
        self, channels: int, tokens: int, actions: int, looks: tuple[int, ...] = ()
    ) -> None:
        super().__init__()
        self.looks = looks
        self.places = nn.Embedding(tokens, PLACE)
        self.net = nn.Sequential(
            nn.Linear(channels * (1 + len(looks)) + MASK + actions + PLACE, HIDDEN), nn.SiLU(),
            nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 1),
        )  # fmt: skip

    def forward(
        self, view: Tensor, since: Tensor, action: Tensor, place: Tensor, looked: Tensor
    ) -> Tensor:
        """Logits (...,) that tokens of a view (...,C) change which have looked so for `since` (...)
        steps, at places (...,) of the picture, under actions (...,A), beside codes (...,L*C)."""
        told = torch.cat([view, lasted(since), action, self.places(place), looked], dim=-1)
        out: Tensor = self.net(told)[..., 0]
        return out

    @torch.no_grad()
    def near(
        self, view: Tensor, age: Tensor, since: Tensor, actions: Tensor, grid: tuple[int, int]
    ) -> Tensor:
        """How much a loss should look (B,T,N) at every token: grows to 1 with the most restless
        chance of it and its neighbours. Unknown tokens, which always change, do not count."""
        chance = self.chance(view, since, actions) * (age >= 0)
        planes = chance.flatten(0, 1).unflatten(-1, grid)[:, None]
        most = F.max_pool2d(planes, 3, 1, 1).flatten(1).reshape(chance.shape)
        return most / (most + RARE)

    @torch.no_grad()
    def chance(self, view: Tensor, since: Tensor, actions: Tensor) -> Tensor:
        """The chance (B,T,N) that tokens of views (B,T,N,C) become other things."""
        count = view.shape[2]
        place = torch.arange(count, device=view.device).expand(view.shape[:3])
        each = (
            part[:, :, None].expand(-1, -1, count, -1)
            for part in (actions, view[:, :, list(self.looks)].flatten(2))
        )
        action, looked = each
        logits: Tensor = self(view, since, action, place, looked)
        return logits.sigmoid()


def fit(
    folder: Path, looks: tuple[int, ...] = (), inside: int = 0, seed: int = 0, count: int = STEPS
) -> Restless:
    """Fitted to the tokens that `sources.write` left in a folder. Half of them are drawn from the
    `inside` tokens of a map, half from those below it; a place is an input, so chances stay."""
    codes, again, sources, ages, since, actions = (
        np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        for name in ("codes", "again", "sources", "ages", "since", "actions")
    )
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    rows, tokens, channels = codes.shape
    net = Restless(channels, tokens, actions.shape[-1], looks)
    batch = min(BATCH, rows * tokens)
    optimiser = torch.optim.AdamW(net.parameters(), RATE)
    for number in range(count):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - number / count)
        row, token = (random.integers(n, size=batch) for n in (rows, inside or tokens))
        if 0 < inside < tokens:
            token[: batch // 2] = random.integers(inside, tokens, size=batch // 2)
        seen = ages[row, token] >= 0
        row, token = row[seen], token[seen]
        source = sources[row, token]
        view = torch.from_numpy(again[source // tokens, source % tokens]).float()
        change = torch.from_numpy(codes[row, token]).float() - view
        other = (change.square().mean(-1) > OTHER).float()
        told = (torch.from_numpy(part) for part in (since[row, token], actions[row], token))
        by = sources[row[:, None], np.array(looks, int)]
        looked = torch.from_numpy(again[by // tokens, by % tokens]).float().flatten(1)
        loss = F.binary_cross_entropy_with_logits(net(view, *told, looked), other)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.eval().requires_grad_(False)


@torch.no_grad()
def bins(folder: Path, net: Restless, inside: int) -> NDArray[np.uint8]:
    """How likely any token below the map changes in a row (rows,), as a number of `EDGES`. The
    chance is known before the frame, so that rows may be drawn by it."""
    again, sources, since, actions = (
        np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        for name in ("again", "sources", "since", "actions")
    )
    tokens, out = again.shape[1], []
    for first in range(0, len(actions), CHUNK):
        rows = slice(first, first + CHUNK)
        source = sources[rows]
        view = torch.from_numpy(again[source // tokens, source % tokens]).float()[:, None]
        told = torch.from_numpy(np.array(since[rows]))[:, None]
        chance = net.chance(view, told, torch.from_numpy(np.array(actions[rows]))[:, None])
        most = chance[:, 0, inside:].amax(-1) if inside < tokens else chance[:, 0, :1].amax(-1) * 0
        out.append(torch.bucketize(most, torch.tensor(EDGES)).byte().numpy())
    return np.concatenate(out)
