"""Adversarial terms of NFD+: hinge losses, two small critics, and the balance with the main loss.

`FeatureCritic` is the paper's (LADD): trainable heads on features of the frozen teacher, which sees
real and generated frames only after both were noised again. `PixelCritic` looks at decoded
pictures beside the last real one: a mean prediction, right on average but washed out, is what it
finds.
Both know the action, and real frames with somebody else's action are shown to them as fakes, so
that being sharp is not enough: the picture has to answer to the key.
"""

import itertools

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from nfd_gym.errors import UsageError


def hinge_critic(real: Tensor, fake: Tensor, mismatched: Tensor | None = None) -> Tensor:
    """0.5 [relu(1 - D(real)) + relu(1 + D(fake))]; mismatched pairs share the fakes' half."""
    losses = [F.relu(1 + fake).mean()]
    if mismatched is not None and mismatched.numel():
        losses.append(F.relu(1 + mismatched).mean())
    return 0.5 * (F.relu(1 - real).mean() + torch.stack(losses).mean())


def hinge_generator(fake: Tensor) -> Tensor:
    return -fake.mean()


def critic_accuracy(real: Tensor, fake: Tensor) -> float:
    """Share of logits on the right side of 0; 0.55-0.85 is healthy, above 0.9 it has won."""
    right = (real > 0).float().mean() + (fake <= 0).float().mean()
    return float(right.detach()) / 2


def rolled_actions(actions: Tensor) -> tuple[Tensor, Tensor]:
    """Actions (B, T, A) of the neighbour in the batch, and where (B, T) they really differ.

    Held keys repeat across a batch; a frame whose borrowed action equals its own is no fake.
    """
    other = actions.roll(1, dims=0)
    return other, ((other - actions).abs() > 1e-3).any(-1)


def balanced(
    prediction: Tensor, main: Tensor, adversarial: Tensor, share: float,
    through: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """A loss whose gradient at `prediction` is main's plus the adversarial's at `share` its size.

    A fixed weight would have to follow a main loss that falls by orders of magnitude in minutes.
    The adversarial graph is walked once, down to `prediction`, and goes on from there or from
    `through`, which is the same but may hang on less.
    """
    (main_pull,) = torch.autograd.grad(main, prediction, retain_graph=True)
    (pull,) = torch.autograd.grad(adversarial, prediction)
    scale = share * main_pull.norm() / pull.norm().clamp_min(1e-12)
    pushed: Tensor = ((prediction if through is None else through) * (scale * pull).detach()).sum()
    return main + pushed


class FeatureCritic(nn.Module):
    """One head per watched teacher block; features (B, T, N, D) -> logits (B, T, N) per head."""

    def __init__(self, width: int, grid: tuple[int, int], heads: int, hidden: int = 64) -> None:
        super().__init__()
        self.grid = grid
        self.heads = nn.ModuleList(_Head(width, hidden) for _ in range(heads))

    def forward(self, features: list[Tensor]) -> Tensor:
        """(heads, B, T, N)"""
        if len(features) != len(self.heads):
            raise UsageError(f"the critic has {len(self.heads)} heads, got {len(features)} inputs")
        height, width = self.grid
        logits = []
        for head, tokens in zip(self.heads, features, strict=True):
            batch = tokens.shape[0]
            grid = rearrange(tokens, "b t (h w) d -> (b t) d h w", h=height, w=width)
            # Token features of a residual stream grow with depth; the head should not care.
            grid = F.layer_norm(grid.movedim(1, -1), grid.shape[1:2]).movedim(-1, 1)
            logits.append(rearrange(head(grid), "(b t) 1 h w -> b t (h w)", b=batch))
        return torch.stack(logits)


class _Head(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.enter = spectral_norm(nn.Conv2d(width, hidden, 1))
        self.look = spectral_norm(nn.Conv2d(hidden, hidden, 3, padding=1))
        self.leave = spectral_norm(nn.Conv2d(hidden, 1, 1))

    def forward(self, grid: Tensor) -> Tensor:
        x = F.leaky_relu(self.enter(grid), 0.2)
        x = x + F.leaky_relu(self.look(x), 0.2)
        logits: Tensor = self.leave(x)
        return logits


class PixelCritic(nn.Module):
    """Hinge logits on patches of a picture, seen beside the last real one and with its action.

    Spectral norm lets no layer amplify, and what tells a washed-out picture from a sharp one is
    small beside its colours: so the finest detail comes in a second time, enlarged.
    """

    FINE = 5.0  # how much the detail is enlarged

    def __init__(self, action_width: int, hidden: int = 32) -> None:
        super().__init__()
        widths = [12, hidden, 2 * hidden, 4 * hidden]
        self.convs = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1))
            for a, b in itertools.pairwise(widths)
        )
        self.leave = spectral_norm(nn.Conv2d(4 * hidden, 1, 3, padding=1))
        self.action = nn.Linear(action_width, 4 * hidden)

    def forward(self, pixels: Tensor, last: Tensor, actions: Tensor) -> Tensor:
        """pixels and last (B, 3, H, W) in [-1, 1], actions (B, A) -> logits (B, 1, H/8, W/8)."""
        x = torch.cat([pixels, last], dim=1)
        x = torch.cat([x, self.FINE * (x - F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))], 1)
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        # Projection (Miyato & Koyama): how well the patch agrees with the action.
        match: Tensor = (x * self.action(actions)[..., None, None]).sum(1, keepdim=True) / x.shape[
            1
        ] ** 0.5
        logits: Tensor = self.leave(x) + match
        return logits
