"""What a world is given when all frames of a stretch are predicted in one pass."""

import numpy as np
import torch
from torch import Tensor

from nfd_gym.eval.rollout import Excerpt
from nfd_gym.world import WorldModel


def inputs(
    world: WorldModel, excerpt: Excerpt, turned: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Actions (B,T,A) of all frames but the first, and the real frame before each as the world
    recycles it. `turned` recycles by other actions than the true ones."""
    pixels = world.see(torch.from_numpy(excerpt.frames[:, :-1]))
    actions = torch.from_numpy(np.ascontiguousarray(excerpt.actions[:, 1:]))
    shape = pixels.shape[:2]
    pitch = torch.zeros(shape)
    if excerpt.pitch is not None:
        pitch = torch.from_numpy(excerpt.pitch[:, :-1].astype(np.float32))
    by = actions if turned is None else turned
    recycled, _ = world.recycle(pixels.flatten(0, 1), pitch.flatten(), by.flatten(0, 1))
    return actions, None if recycled is None else recycled.unflatten(0, shape)
