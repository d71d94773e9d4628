"""Stage: the denoiser of a flat world, by flow matching with x-prediction on clips.

Every frame of a clip is drawn from the one before it. That is the recorded one, or, in a share of
the batches, the one that the model itself has drawn with `world.step.predict`: then the input is
that of play, keys and values of the past included. Errors are mean squares over pixels: in a
whitened code's own units fine detail outweighs where things are.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from nfd_gym.diffusion.flow import draw_sigma, interpolate
from nfd_gym.memory import Memory
from nfd_gym.memory.none import NoMemory
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train.loop import Moment
from nfd_gym.train.stages.frames import ClipBatch
from nfd_gym.world import WorldSettings
from nfd_gym.world.state import WorldState
from nfd_gym.world.step import Body, no_edit, predict, prime

GIVEN = 2  # recorded frames that a rollout of the model's own begins from


@dataclass(frozen=True, kw_only=True)
class ClipLoss:
    pure: float = 0.75  # share of frames at noise level exactly 1, where one-step sampling starts
    mean: float = 0.4  # of the logit-normal levels of the others
    std: float = 1.2
    changed: float = 1.0  # extra weight of tokens that change or should
    least: float = 1.0  # grey levels (root mean square of a token) that count as a change
    rollouts: float = 0.5  # share of batches whose frames follow the model's own
    rollouts_from: float = 0.3  # share of the training after which they begin


@dataclass(frozen=True)
class FlatParts:
    """What `predict` needs of a world in training."""

    tokenizer: Tokenizer
    denoiser: Denoiser
    settings: WorldSettings
    body: Body
    memory: Memory = field(default_factory=NoMemory)


class ClipStage:
    name = "denoiser"

    def __init__(
        self, model: Denoiser, tokenizer: Tokenizer, settings: WorldSettings, config: ClipLoss,
        body: Body,
    ) -> None:  # fmt: skip
        self.model, self.config = model, config
        if settings.context == "auto":  # as a World with a condition has it
            settings = replace(settings, context="noisy")
        self.parts = FlatParts(tokenizer, model, settings, body)

    def loss(self, batch: ClipBatch, moment: Moment) -> tuple[Tensor, dict[str, float]]:
        config, random, code = self.config, moment.random, self.parts.tokenizer
        truth = codes(code, batch.frames)
        actions, target = batch.actions[:, 1:], truth[:, 1:]
        shape = target.shape[:2]
        own = moment.progress >= config.rollouts_from and draw(random) < config.rollouts
        if own:
            frames = rollout(self.parts, batch, random)
            sigma = torch.ones(shape)
        else:
            frames = batch.frames
            sigma = draw_sigma(shape, random, "cpu", config.pure, config.mean, config.std)
        before = codes(code, frames[:, :-1]) if own else truth[:, :-1]
        control = controls(self.parts.body, frames[:, :-1], actions)
        noise = torch.randn(target.shape, generator=random)
        noise = torch.where(at_one(sigma), self.parts.settings.temperature * noise, noise)
        out = self.model(interpolate(target, noise, sigma), sigma, control, before)
        error = code.colour.mean_square(out.float() - target)  # (B,T,N)
        change = torch.maximum(
            grey_levels(code, target - before), grey_levels(code, target - truth[:, :-1])
        )
        changed = change > config.least
        with torch.no_grad():
            one = sigma[..., None] == 1
            kind = "own" if own else "given"
            logs = {f"copy_{kind}": (before - target).square().mean().item()}
            for name, tokens in (("changed", changed & one), ("still", ~changed & one)):
                if bool(tokens.any()):
                    logs[f"{name}_{kind}"] = error[tokens].mean().item()
        return (error * (1.0 + config.changed * changed)).mean(), logs

    def picture(self, batch: ClipBatch) -> Tensor | None:
        return None


@torch.no_grad()
def rollout(parts: FlatParts, batch: ClipBatch, random: torch.Generator) -> Tensor:
    """Frames uint8 (B,T+1,H,W,3): the first `GIVEN` recorded, the others predicted in turn."""
    frames, actions = batch.frames, batch.actions
    config = parts.denoiser.config
    flat = frames.new_zeros(*frames.shape[:2], 0, 0, dtype=torch.float32)
    poses = actions[..., :0]
    shape = (*frames.shape[:2], config.tokens, config.channels)
    noise = torch.randn(shape, generator=random)
    given = slice(0, GIVEN)
    cache = parts.denoiser.make_cache(len(frames))
    state = prime(
        parts, cache, frames[:, given], flat[:, given], poses[:, given], actions[:, given],
        noise[:, given],
    )  # fmt: skip
    shown = [frames[:, i] for i in range(GIVEN)]
    for i in range(GIVEN, frames.shape[1]):
        state = predict(parts, state, actions[:, i], noise[:, i], cache)
        shown.append(state.frame)
    return torch.stack(shown, 1)


def controls(body: Body, frames: Tensor, actions: Tensor) -> Tensor:
    """Controls (B,T,A+K) under actions (B,T,A) after frames uint8 (B,T,H,W,3)."""
    flat, action = frames.flatten(0, 1), actions.flatten(0, 1)
    nothing = action[:, :0]
    state = WorldState(flat, nothing, nothing, nothing, nothing, (), no_edit(action))
    told = body.move(NoMemory(), state, action).control
    control: Tensor = torch.cat([action, told], -1).unflatten(0, frames.shape[:2])
    return control


def codes(tokenizer: Tokenizer, frames: Tensor) -> Tensor:
    """Latents (B,T,N,C) of frames uint8 (B,T,H,W,3)."""
    return tokenizer.encode_frames(frames, frames[..., :0, :0, 0].float())


def grey_levels(tokenizer: Tokenizer, difference: Tensor) -> Tensor:
    """Root mean square (...,) over a token's pixels of a difference of latents (...,C)."""
    return tokenizer.colour.mean_square(difference).sqrt() * 127.5


def at_one(sigma: Tensor) -> Tensor:
    return (sigma == 1)[..., None, None]


def draw(random: torch.Generator) -> float:
    return float(torch.rand((), generator=random))
