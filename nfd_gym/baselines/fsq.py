"""Finite scalar quantisation (arXiv 2309.15505) of a patch code: codes (...,C) as words of a fixed
vocabulary.

A small network maps a code to a few numbers, each is rounded to one of a few levels, another maps
them back. What is kept of it is the table of codes that all words stand for.
"""

import math

import torch
from torch import Tensor, nn

BATCH, RATE, HIDDEN = 2048, 3e-3, 192


class Quantiser(nn.Module):
    def __init__(self, channels: int, levels: tuple[int, ...]) -> None:
        super().__init__()
        self.levels = levels
        self.inwards = _network(channels, len(levels))
        self.outwards = _network(len(levels), channels)

    def forward(self, code: Tensor) -> Tensor:
        """Codes (...,C) through the levels and back, with the gradient of what is not rounded."""
        steps = code.new_tensor(self.levels) - 1
        place = self.inwards(code).sigmoid() * steps
        place = place + (place.round() - place).detach()
        return self.on_sphere(self.outwards(2 * place / steps - 1))

    @torch.no_grad()
    def table(self) -> Tensor:
        """Codes (V,C) of all words."""
        axes = [torch.linspace(-1, 1, count) for count in self.levels]
        return self.on_sphere(self.outwards(torch.cartesian_prod(*axes)))

    @staticmethod
    def on_sphere(raw: Tensor) -> Tensor:
        """As a `PatchNet` codes: root mean square 1."""
        return raw * torch.rsqrt(raw.square().mean(-1, keepdim=True) + 1e-6)


def words(code: Tensor, table: Tensor) -> Tensor:
    """The words (...,) whose codes of `table` (V,C) are nearest to codes (...,C)."""
    flat = code.reshape(-1, code.shape[-1])
    near = table.square().sum(-1) - 2 * flat @ table.T
    return near.argmin(-1).reshape(code.shape[:-1])


def fit(codes: Tensor, chances: Tensor, levels: tuple[int, ...], seed: int, count: int) -> Tensor:
    """The table (V,C), fitted to codes (n,C), half of which are drawn by `chances` (n,)."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    net, summed = Quantiser(codes.shape[-1], levels), chances.double().cumsum(0)
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.0)
    half = min(BATCH, len(codes)) // 2
    for number in range(count):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, number / 100, 2 * (1 - number / count))
        even = torch.randint(len(codes), (half,), generator=random)
        drawn = torch.rand(half, generator=random, dtype=summed.dtype) * summed[-1]
        rows = torch.cat([even, torch.searchsorted(summed, drawn).clamp_max(len(codes) - 1)])
        loss = (net(codes[rows]) - codes[rows]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net.table()


def vocabulary(levels: tuple[int, ...]) -> int:
    """V, the number of words."""
    return math.prod(levels)


def _network(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(),
        nn.Linear(HIDDEN, outputs),
    )  # fmt: skip
