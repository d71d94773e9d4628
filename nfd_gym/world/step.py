"""The one step of a learned world: play, own rollouts in training and evaluation all call it."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from nfd_gym.diffusion.sample import sample_frame
from nfd_gym.memory import Edit, Memory, MemoryState, View
from nfd_gym.model.cache import FrameCache
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.pixels import to_float, to_uint8
from nfd_gym.memory.rays import ray_waves
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.world.state import WorldState


class Move(Protocol):
    """What a body does under one action."""

    pose: Tensor  # (B,P) after the action
    motion: Tensor  # (B,M)
    control: Tensor  # (B,K) what the denoiser is told of it, beside the action
    edit: Edit | None  # what is dug or placed


class Body(Protocol):
    """Moves the eye. `width` is K of a move's control."""

    width: int

    def move(self, memory: Memory, state: WorldState, action: Tensor) -> Move: ...

    def start(self, poses: Tensor, actions: Tensor) -> Tensor:
        """Motion (B,M) at the end of given poses (B,T,P) under actions (B,T,A)."""


class Parts(Protocol):
    """What the step needs of a world."""

    tokenizer: Tokenizer
    denoiser: Denoiser
    memory: Memory
    body: Body
    sigmas: Sequence[float]
    context: str
    latent_limit: float
    hold: float


@torch.no_grad()
def predict(
    world: Parts, state: WorldState, action: Tensor, noise: Tensor, cache: FrameCache
) -> WorldState:
    """The state after `action` (B,A), drawn from `noise` (B,N,C).

    Side effect: one frame of keys and values is appended to `cache`.
    """
    move = world.body.move(world.memory, state, action)
    memory = world.memory.edit(state.memory, move.edit)
    view = world.memory.read(memory, state.frame, move.pose)
    condition = condition_tokens(world.tokenizer, world.denoiser, view, move.pose)
    control = torch.cat([action, move.control], dim=-1)
    latents = sample_frame(
        world.denoiser, cache, control, condition, noise, world.sigmas, world.context
    ).clamp(-world.latent_limit, world.latent_limit)
    frame, nearness = render(world.tokenizer, latents, view, world.hold)
    memory = world.memory.write(memory, view, frame, nearness, move.pose)
    return WorldState(frame, nearness, latents, move.pose, move.motion, memory)


def condition_tokens(
    tokenizer: Tokenizer, denoiser: Denoiser, view: View, pose: Tensor
) -> Tensor:
    """A view as tokens (B,N,G): its code first, then masks on a 4x4 grid a token, then rays."""
    config = denoiser.config
    code = tokenizer.encode(view.colour, view.nearness)
    parts = [code]
    if config.masks:
        parts.append(tokenizer.mask_tokens(torch.cat([view.sharp, view.edited], dim=1)))
    if config.rays:
        parts.append(ray_waves(pose, config.tokens_h, config.tokens_w, config.fov_y))
    return torch.cat(parts, dim=-1)


def render(
    tokenizer: Tokenizer, latents: Tensor, view: View, hold: float
) -> tuple[Tensor, Tensor]:
    """Latents (B,N,C) as a frame uint8 (B,H,W,3) and nearness (B,H,W).

    Detail of the view that the code cannot hold is added back where the view is sharp. A token
    whose prediction differs from the view's own code by less than `hold` (root mean square, in
    grey levels) keeps the view's pixels.
    """
    colour, nearness = tokenizer.decode(latents)
    code_colour, code_nearness = tokenizer.decode(tokenizer.encode(view.colour, view.nearness))
    detail = (view.sharp >= SHARP).to(colour.dtype) if view.nearness.shape[1] else 0.0
    known = tokenizer.token_min(view.sharp) > 0
    still = known & (tokenizer.token_rms(colour - code_colour) * 127.5 < hold)
    still = still & (tokenizer.token_max(view.edited) == 0)
    mask = tokenizer.spread(still)
    out = torch.where(mask, view.colour, colour + detail * (view.colour - code_colour))
    depth = nearness
    if view.nearness.shape[1]:
        drawn = nearness + detail * (view.nearness - code_nearness)
        depth = torch.where(mask, view.nearness, drawn).clamp_min(0.0)
    return to_uint8(out.clamp(-1.0, 1.0)), depth.flatten(1, 2) if depth.shape[1] else depth[:, 0:0].flatten(1, 2)


SHARP = 0.9  # of a view's pixel: its detail is worth keeping


@torch.no_grad()
def prime(
    world: Parts, cache: FrameCache, frames: Tensor, nearness: Tensor, poses: Tensor,
    actions: Tensor, noise: Tensor,
) -> WorldState:  # fmt: skip
    """The state at the end of a given clip, with the cache filled by teacher forcing.

    frames uint8 (B,T,H,W,3), nearness (B,T,H,W), poses (B,T,P), actions (B,T,A), noise (B,T,N,C).
    """
    count = frames.shape[1]
    memory: MemoryState = world.memory.start(frames[:, :1], nearness[:, :1], poses[:, :1])
    latents = world.tokenizer.encode_frames(frames, nearness)  # (B,T,N,C)
    sigma = world.sigmas[-1] if world.context == "noisy" else 0.0
    motion = world.body.start(poses[:, :1], actions[:, :1])
    state = WorldState(frames[:, 0], nearness[:, 0], latents[:, 0], poses[:, 0], motion, memory)
    for i in range(1, count):
        move = world.body.move(world.memory, state, actions[:, i])
        memory = world.memory.edit(state.memory, move.edit)
        view = world.memory.read(memory, frames[:, i - 1], poses[:, i])
        condition = condition_tokens(world.tokenizer, world.denoiser, view, poses[:, i])
        noisy = (1 - sigma) * latents[:, i] + sigma * noise[:, i]
        level = noisy.new_full((len(noisy), 1), sigma)
        control = torch.cat([actions[:, i], move.control], dim=-1)
        world.denoiser(noisy[:, None], level, control[:, None], condition[:, None], cache, 1)
        memory = world.memory.write(memory, view, frames[:, i], nearness[:, i], poses[:, i])
        motion = world.body.start(poses[:, : i + 1], actions[:, : i + 1])
        state = WorldState(
            frames[:, i], nearness[:, i], latents[:, i], poses[:, i], motion, memory
        )
    return state


__all__ = ["Body", "Move", "Parts", "condition_tokens", "predict", "prime", "render", "to_float"]
