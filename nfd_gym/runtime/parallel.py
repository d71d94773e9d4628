"""NFD's parallel sampling: the next K frames at once, betting that the action is held."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nfd_gym.diffusion.sample import refine
from nfd_gym.model.cache import FrameCache
from nfd_gym.model.carry import listen
from nfd_gym.model.heads import glance
from nfd_gym.model.recycle import TURNING
from nfd_gym.runtime.engine import Drawn, look_round
from nfd_gym.world import WorldModel


@torch.no_grad()
def draw_jointly(
    world: WorldModel,
    sigmas: Sequence[float],
    cache: FrameCache,
    now: Drawn,
    actions: Tensor,
    noise: Tensor,
) -> list[Drawn]:
    """K frames under `actions` (B,A), denoised together from noise (B,K,N,C) at equal levels.

    Frame k sees the noisy frames before it, and the last real picture turned k times where the
    model recycles; nothing better exists yet. So it is not what K single steps would give.
    Side effect: appends K frames to the cache.
    """
    count = noise.shape[1]
    given, pitches = _recycled(world, now, actions, count)
    denoiser, heard = listen(world.denoiser)
    held = actions[:, None].expand(-1, count, -1)
    how = world.settings

    def predict(noisy: Tensor, sigma: float, commit: int = 0) -> Tensor:
        if how.context == "noisy" and sigma == sigmas[-1]:
            commit = count
        level = noisy.new_full(noisy.shape[:2], sigma)
        out: Tensor = denoiser(noisy, level, held, given, cache, commit)
        return out

    clean = refine(predict, noise, sigmas)
    if how.context == "exact":
        predict(clean, how.clean_sigma, commit=count)
    clean = clean.clamp(-how.latent_limit, how.latent_limit)
    told = {what: part.unflatten(0, clean.shape[:2]) for what, part in heard.items()}
    drawn = [now]
    for k in range(count):
        of_this = {what: part[:, k] for what, part in told.items()}
        memory, yaw, around = look_round(world, drawn[-1], actions)
        canvas = drawn[-1].canvas
        frame, canvas = world.show(canvas, around, pitches[k], actions, clean[:, k], of_this)
        seen = glance(drawn[-1].glimpses, frame)
        drawn.append(Drawn(frame, canvas, clean[:, k], pitches[k + 1], yaw, memory, seen))
    return drawn[1:]


def _recycled(
    world: WorldModel, now: Drawn, actions: Tensor, count: int
) -> tuple[Tensor | None, list[Tensor]]:
    """The last picture after 1..K turns (B,K,N,C), and the view pitch of it and of each frame."""
    pixels = world.see(now.frame)
    given: list[Tensor] = []
    pitches = [now.pitch]
    for _ in range(count):
        latents, pitch = world.recycle(pixels, pitches[-1], actions)
        pitches.append(pitch)
        if latents is not None:
            given.append(latents)
            if world.denoiser.config.recycle in TURNING:
                pixels = world.tokenizer.decode(latents[..., : world.denoiser.config.channels])
    return (torch.stack(given, dim=1) if given else None), pitches
