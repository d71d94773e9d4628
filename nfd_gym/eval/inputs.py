"""What a world is given when all frames of a stretch are predicted in one pass."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nfd_gym.eval.rollout import Excerpt, Frames
from nfd_gym.model.carry import Heard
from nfd_gym.world import WorldModel


@dataclass(frozen=True)
class Inputs:
    """Of all T frames of B stretches but the first."""

    actions: Tensor  # (B,T,A)
    recycled: Tensor | None  # (B,T,N,...) the real frame before each, as the world recycles it
    last: Tensor  # uint8 (B,T,H,W,3) that frame itself
    around: Tensor  # uint8 (B,T,3,H,W) what is remembered of the coming view
    pitch: Tensor  # (B,T) and its view

    def show(self, world: WorldModel, latents: Tensor, heard: Heard, first: int) -> Frames:
        """Pictures (B * (T - first), H, W, 3) of predictions (B,T,N,C), from the `first` on;
        `heard` is what the denoiser told meanwhile."""
        last, around, pitch, actions, clean = (
            part.flatten(0, 1)
            for part in (self.last, self.around, self.pitch, self.actions, latents)
        )
        frames, _ = world.show(world.canvas(last), around, pitch, actions, clean, heard)
        wanted: Tensor = frames.unflatten(0, latents.shape[:2])[:, first:]
        return np.asarray(wanted.flatten(0, 1))


def inputs(world: WorldModel, excerpt: Excerpt, turned: Tensor | None = None) -> Inputs:
    """`turned` recycles by other actions than the true ones."""
    last = torch.from_numpy(excerpt.frames[:, :-1])
    pixels = world.see(last)
    actions = torch.from_numpy(np.ascontiguousarray(excerpt.actions[:, 1:]))
    shape = pixels.shape[:2]
    pitch = torch.zeros(shape)
    if excerpt.pitch is not None:
        pitch = torch.from_numpy(excerpt.pitch[:, :-1].astype(np.float32))
    by = actions if turned is None else turned
    frames = torch.from_numpy(excerpt.frames)
    before = torch.cat([by[:, :1], by], dim=1)  # what made the first frame is nobody's concern
    *_, around = world.remember(frames, before, torch.cat([pitch, pitch[:, -1:]], dim=1))
    recycled, _ = world.recycle(
        pixels.flatten(0, 1), pitch.flatten(), by.flatten(0, 1), around.flatten(0, 1)
    )
    given = None if recycled is None else recycled.unflatten(0, shape)
    return Inputs(actions, given, last, around, pitch)
