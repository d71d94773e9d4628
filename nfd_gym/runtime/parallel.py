"""NFD's parallel sampling: the next K frames at once, betting that the action is held."""

import torch
from torch import Tensor

from nfd_gym.diffusion.sample import sample_frames
from nfd_gym.memory import View
from nfd_gym.model.body import Move
from nfd_gym.model.cache import FrameCache
from nfd_gym.world.state import WorldState
from nfd_gym.world.step import Parts, condition_tokens, no_edit, render


@torch.no_grad()
def predict_jointly(
    world: Parts, state: WorldState, action: Tensor, noise: Tensor, cache: FrameCache
) -> list[WorldState]:
    """K states under `action` (B,A) held, denoised together from noise (B,K,N,C) at equal levels.

    The body moves K times, but memory is read as it is now: frame k sees the noisy frames before
    it and nothing of what they uncover. So only the first is what a single step would give.
    Side effect: appends K frames to the cache.
    """
    how, count = world.settings, noise.shape[1]
    moves: list[Move] = []
    views: list[View] = []
    conditions: list[Tensor | None] = []
    ahead = state
    for k in range(count):
        move = world.body.move(world.memory, ahead, action, noise[:, k])
        memory = world.memory.edit(ahead.memory, move.edit)
        view = world.memory.read(memory, state.frame, move.pose)
        moves.append(move)
        views.append(view)
        conditions.append(condition_tokens(world.tokenizer, world.denoiser.config, view, move.pose))
        ahead = ahead._replace(pose=move.pose, motion=move.motion, memory=memory)
    given = [tokens for tokens in conditions if tokens is not None]
    clean = sample_frames(
        world.denoiser,
        cache,
        torch.stack([torch.cat([action, move.control], dim=-1) for move in moves], dim=1),
        torch.stack(given, dim=1) if given else None,
        how.temperature * noise,
        how.sigmas,
        how.context,
        how.method,
    ).clamp(-how.latent_limit, how.latent_limit)
    made: list[WorldState] = []
    memory = state.memory
    for k, (move, view, tokens) in enumerate(zip(moves, views, conditions, strict=True)):
        memory = world.memory.edit(memory, move.edit)
        frame, nearness = render(world.tokenizer, clean[:, k], view, how.hold, how.trust, tokens)
        memory = world.memory.write(memory, view, frame, nearness, move.pose)
        edit = no_edit(action) if move.edit is None else move.edit
        made.append(WorldState(frame, nearness, clean[:, k], move.pose, move.motion, memory, edit))
    return made
