"""An engine: the parts of a world as this machine computes them. `world.step.predict` is the step.

The eager engine has the world's own parts and is the specification that every other must match.
"""

from dataclasses import dataclass

import torch

from nfd_gym.errors import NfdError
from nfd_gym.memory import Memory
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.world import World, WorldSettings
from nfd_gym.world.step import Body, DenoiserLike


class EngineError(NfdError, ValueError):
    """An engine that this machine does not have; the message says what to do."""


@dataclass(frozen=True)
class Engine:
    """What `predict` takes as its world. Holds compiled code, never rollout state."""

    name: str
    device: torch.device
    tokenizer: Tokenizer
    denoiser: DenoiserLike
    memory: Memory
    body: Body
    settings: WorldSettings


def engine_of(
    name: str, device: torch.device, world: World, settings: WorldSettings, denoiser: DenoiserLike
) -> Engine:
    """A world's parts with this denoiser, sampled as `settings` say."""
    return Engine(name, device, world.tokenizer, denoiser, world.memory, world.body, settings)
