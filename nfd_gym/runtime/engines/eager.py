"""The eager engine: plain PyTorch, and the specification that every other engine must match."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nfd_gym.errors import NfdError
from nfd_gym.memory import Memory
from nfd_gym.model.cache import FrameCache
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.world import World, WorldSettings
from nfd_gym.world.state import WorldState
from nfd_gym.world.step import Body, DenoiserLike, Parts, predict


class EngineError(NfdError, ValueError):
    """An engine or device that this machine does not have; the message says what to do."""


class Engine(Protocol):
    """Draws the next frame. Holds compiled code and scratch buffers, never rollout state."""

    name: str
    device: torch.device
    parts: Parts

    def step(
        self, cache: FrameCache, state: WorldState, action: Tensor, noise: Tensor
    ) -> WorldState:
        """The state after `action` (B,A). Side effect: appends one frame to the cache."""


class EagerEngine:
    """One operation after the other."""

    def __init__(self, parts: Parts, device: torch.device, name: str = "eager") -> None:
        self.name, self.parts, self.device = name, parts, device

    def step(
        self, cache: FrameCache, state: WorldState, action: Tensor, noise: Tensor
    ) -> WorldState:
        return predict(self.parts, state, action, noise, cache)


@dataclass(frozen=True)
class FastParts:
    """A world whose denoiser is compiled."""

    tokenizer: Tokenizer
    denoiser: DenoiserLike
    memory: Memory
    body: Body
    settings: WorldSettings


def with_denoiser(world: World, settings: WorldSettings, denoiser: DenoiserLike) -> FastParts:
    """The parts of a world, with another denoiser and other settings."""
    return FastParts(world.tokenizer, denoiser, world.memory, world.body, settings)
