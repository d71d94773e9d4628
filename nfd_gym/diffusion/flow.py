"""Flow matching on straight paths. Convention, said once:

noisy    = (1 - sigma) * clean + sigma * noise      sigma 0 is a clean frame, 1 pure noise
velocity = noise - clean                            d noisy / d sigma
"""

import torch
from torch import Tensor


def interpolate(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """The point at `sigma` on the path from `clean` to `noise`; sigma (B,T) against (B,T,N,C)."""
    level = spread(sigma, clean)
    return (1 - level) * clean + level * noise


def velocity(clean: Tensor, noisy: Tensor, sigma: Tensor, floor: float = 0.02) -> Tensor:
    """Velocity of the path through `noisy` that ends in `clean`.

    Below `floor` the quotient is held: it amplifies errors without bound there and samplers hardly
    visit it.
    """
    return (noisy - clean) / spread(sigma, noisy).clamp_min(floor)


def spread(sigma: Tensor, like: Tensor) -> Tensor:
    """sigma (B,T) with as many trailing dimensions as `like`."""
    return sigma.reshape(*sigma.shape, *(1,) * (like.ndim - sigma.ndim))


def draw_sigma(
    shape: tuple[int, ...], random: torch.Generator, device: torch.device | str, pure: float = 0.3,
    mean: float = 0.4, std: float = 1.2,
) -> Tensor:  # fmt: skip
    """Noise levels for training: logit-normal, and exactly 1 for a share `pure` of the frames,
    because one-step sampling starts there and the logit-normal hardly reaches it."""
    levels = torch.sigmoid(mean + std * torch.randn(shape, generator=random, device=device))
    at_one = torch.rand(shape, generator=random, device=device) < pure
    return torch.where(at_one, torch.ones_like(levels), levels)


def ramp_weight(sigma: Tensor) -> Tensor:
    """Dreamer 4's ramp: nearly clean frames count 1, pure noise 0.1 (mostly guesswork)."""
    return 0.9 * (1 - sigma) + 0.1
