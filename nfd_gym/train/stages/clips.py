"""Stage: the denoiser of a flat world without chance, by flow matching with x-prediction on clips.

Every frame of a clip is drawn from the one before it and from what memory holds. They are the
recorded ones, or, in a share of the batches, the model's own, drawn with `world.step.predict`: then
the input is that of play, keys and values of the past included. (With chance they would show
another course of events, from which the recording does not follow; see tokens.py.) Errors are mean
squares over pixels: in a whitened code's own units fine detail outweighs where things are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from nfd_gym.diffusion.flow import draw_sigma, interpolate
from nfd_gym.memory import Memory
from nfd_gym.model.body import Move, NoBody
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train.loop import Moment
from nfd_gym.train.stages.frames import ClipBatch
from nfd_gym.world import WorldSettings
from nfd_gym.world.step import Body, condition_tokens, predict, prime

GIVEN = 2  # recorded frames that a rollout of the model's own begins from


class FlatBody(Body, Protocol):
    """A body that says what the denoiser is told from two poses alone."""

    def told(self, before: Tensor, after: Tensor) -> Tensor:
        """Control (...,K) of a move from poses (...,P) to poses (...,P)."""


@dataclass(frozen=True, kw_only=True)
class ClipLoss:
    pure: float = 0.75  # share of frames at noise level exactly 1, where one-step sampling starts
    mean: float = 0.4  # of the logit-normal levels of the others
    std: float = 1.2
    changed: float = 1.0  # extra weight of tokens that differ from the view
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
    memory: Memory


class ClipStage:
    name = "denoiser"

    def __init__(
        self, model: Denoiser, tokenizer: Tokenizer, settings: WorldSettings, config: ClipLoss,
        body: FlatBody, memory: Memory,
    ) -> None:  # fmt: skip
        self.model, self.config, self.body = model, config, body
        if settings.context == "auto":  # as a World with a condition has it
            settings = replace(settings, context="noisy")
        self.parts = FlatParts(tokenizer, model, settings, body, memory)

    def loss(self, batch: ClipBatch, moment: Moment) -> tuple[Tensor, dict[str, float]]:
        config, random, code = self.config, moment.random, self.parts.tokenizer
        target = codes(code, batch.frames[:, 1:])
        shape = target.shape[:2]
        own = moment.progress >= config.rollouts_from and draw(random) < config.rollouts
        sigma = draw_sigma(shape, random, "cpu", config.pure, config.mean, config.std)
        if not own:
            frames = batch.frames
        else:
            frames = rollout(self.parts, self.body, batch, random)
            sigma = torch.ones(shape)
        given = conditions(self.parts, batch, frames)
        told = self.body.told(batch.poses[:, :-1], batch.poses[:, 1:])
        control = torch.cat([batch.actions[:, 1:], told], dim=-1)
        noise = torch.randn(target.shape, generator=random)
        noise = torch.where(at_one(sigma), self.parts.settings.temperature * noise, noise)
        out = self.model(interpolate(target, noise, sigma), sigma, control, given)
        error = code.colour.mean_square(out.float() - target)  # (B,T,N)
        view = given[..., : target.shape[-1]]
        changed = grey_levels(code, target - view) > config.least
        with torch.no_grad():
            one = sigma[..., None] == 1
            kind = "own" if own else "given"
            logs = {f"copy_{kind}": code.colour.mean_square(view - target).mean().item()}
            for name, tokens in (("changed", changed & one), ("still", ~changed & one)):
                if bool(tokens.any()):
                    logs[f"{name}_{kind}"] = error[tokens].mean().item()
        return (error * (1.0 + config.changed * changed)).mean(), logs

    def picture(self, batch: ClipBatch) -> Tensor | None:
        return None


class Led:
    """A body that is led along recorded poses (B,T+1,P): it makes one move after the other."""

    kind = "led"
    reads = True
    edits: tuple[str, ...] = ()

    def __init__(self, body: FlatBody, poses: Tensor) -> None:
        self.body, self.poses, self.now = body, poses, 0
        self.width, self.pose_width = body.width, body.pose_width

    def move(self, memory: Any, state: Any, action: Tensor, noise: Tensor | None = None) -> Move:
        """The next recorded pose."""
        before, after = self.poses[:, self.now], self.poses[:, self.now + 1]
        self.now += 1
        return Move(after, state.motion, self.body.told(before, after))

    def start(self, poses: Tensor, actions: Tensor) -> Tensor:
        """Motion (B,0)."""
        return actions.new_zeros(len(actions), 0)

    def read(self, frames: Tensor, actions: Tensor) -> Tensor:
        """The recorded poses."""
        return self.poses

    def config(self) -> dict[str, Any]:
        return {}

    def tensors(self) -> dict[str, Tensor]:
        return {}

    @classmethod
    def build(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "Led":
        """Not stored: it serves training alone."""
        return cls(NoBody(), torch.zeros(1, 1, 0))


@torch.no_grad()
def rollout(parts: FlatParts, body: FlatBody, batch: ClipBatch, random: torch.Generator) -> Tensor:
    """Frames uint8 (B,T+1,H,W,3): the first `GIVEN` recorded, the others predicted in turn at the
    recorded poses."""
    frames, actions, poses = batch.frames, batch.actions, batch.poses
    config = parts.denoiser.config
    led = replace(parts, body=Led(body, poses))
    flat = frames.new_zeros(*frames.shape[:2], 0, 0, dtype=torch.float32)
    shape = (*frames.shape[:2], config.tokens, config.channels)
    noise = torch.randn(shape, generator=random)
    given = slice(0, GIVEN)
    cache = parts.denoiser.make_cache(len(frames))
    state = prime(
        led, cache, frames[:, given], flat[:, given], poses[:, given], actions[:, given],
        noise[:, given], batch.memory,
    )  # fmt: skip
    shown = [frames[:, i] for i in range(GIVEN)]
    for i in range(GIVEN, frames.shape[1]):
        state = predict(led, state, actions[:, i], noise[:, i], cache)
        shown.append(state.frame)
    return torch.stack(shown, 1)


@torch.no_grad()
def conditions(parts: FlatParts, batch: ClipBatch, frames: Tensor) -> Tensor:
    """Condition tokens (B,T,N,G) of all frames but the first, each from the one before it in
    `frames` uint8 (B,T+1,H,W,3) and the memory of those."""
    memory, state, poses = parts.memory, batch.memory, batch.poses
    flat = torch.zeros(len(frames), 0, 0)
    found = []
    for i in range(1, frames.shape[1]):
        view = memory.read(state, frames[:, i - 1], poses[:, i])
        tokens = condition_tokens(parts.tokenizer, parts.denoiser.config, view, poses[:, i])
        assert tokens is not None
        found.append(tokens)
        if i + 1 < frames.shape[1]:
            state = memory.write(state, view, frames[:, i], flat, poses[:, i])
    return torch.stack(found, 1)


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
