"""Does the model use its actions? Its loss with another window's actions over its loss with the
true ones."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfd_gym.eval.inputs import inputs
from nfd_gym.eval.rollout import Excerpt
from nfd_gym.noise import noise
from nfd_gym.world import WorldModel


@torch.no_grad()
def shuffled_ratio(world: WorldModel, excerpt: Excerpt) -> dict[str, Any]:
    """Mean squared error of the one-step prediction in latent space, with true and swapped actions.

    "loss_shuffled" swaps the whole action, so that a recycled last frame turns wrongly too;
    "loss_shuffled_network" leaves the recycled frame right and misleads the network alone.
    The excerpt's windows are given whole, real frames as context; the first frame is context only.
    """
    ours = excerpt.actions
    # Another window's actions, and never one's own.
    theirs = np.roll(ours, max(1, len(ours) // 2), axis=0)
    totals = np.zeros(3)
    for start in range(0, len(ours), 8):
        part = slice(start, start + 8)
        batch = excerpt.rows(np.arange(len(ours))[part])
        true = torch.from_numpy(ours[part, 1:])
        swapped = torch.from_numpy(np.ascontiguousarray(theirs[part, 1:]))
        totals += len(true) * np.array(
            [
                _loss(world, batch, start, true, true),
                _loss(world, batch, start, swapped, swapped),
                _loss(world, batch, start, swapped, true),
            ]
        )
    right, wrong, network = totals / len(ours)
    return {
        "windows": len(ours),
        "loss": float(right),
        "loss_shuffled": float(wrong),
        "loss_shuffled_network": float(network),
        "ratio": float(wrong / right),
        "ratio_network": float(network / right),
    }


def _loss(world: WorldModel, batch: Excerpt, seed: int, told: Tensor, turned: Tensor) -> float:
    """MSE of frames 1.. from pure noise: the network is told `told`, the last frame turned by
    `turned`."""
    pixels = world.see(torch.from_numpy(batch.frames[:, 1:]))
    lanes, count = pixels.shape[:2]
    clean = world.tokenizer.encode(pixels.flatten(0, 1)).unflatten(0, (lanes, count))
    recycled = inputs(world, batch, turned).recycled
    draw = torch.from_numpy(noise(seed, 0, 0, 0, clean.shape))
    level = torch.ones(lanes, count)
    if world.settings.context == "noisy":  # as in a rollout: the past is held as it was denoised
        out = world.denoiser(draw, level, told, recycled)
    else:
        calm = torch.full((lanes, count), world.settings.clean_sigma)
        out = world.denoiser.packed(clean, draw, calm, level, told, recycled)
    return float((out - clean).square().mean())
