"""How one frame is computed on this machine. The eager engine is what all others must match."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nfd_gym.diffusion.sample import Cache, sample_frame
from nfd_gym.errors import NfdError
from nfd_gym.model.cache import FrameCache
from nfd_gym.model.carry import listen
from nfd_gym.model.heads import glance
from nfd_gym.settings import nearest
from nfd_gym.world import WorldModel

NAMES = ("auto", "eager", "openvino", "compile", "cudagraph")


class EngineError(NfdError, ValueError):
    """An engine or device that this machine does not have; the message says what to do."""


@dataclass(frozen=True)
class Drawn:
    """One frame of B lanes as it comes out of an engine; never written to again."""

    frame: Tensor  # uint8 (B, H, W, 3)
    canvas: Tensor  # uint8 (B, 5, H, W) what of it goes along to the next (model/carry.py)
    latents: Tensor  # (B, N, C) of this frame
    pitch: Tensor  # (B,) view angle of this frame, degrees
    yaw: Tensor  # (B,) to the right of where the start clip began, degrees
    memory: Tensor  # uint8 (B, CELLS, 3) what was seen in each direction (model/memory.py)
    glimpses: Tensor  # uint8 (B, K, S, S, 3) of what the last frames aimed at (model/heads.py)


class Engine(Protocol):
    """Draws the next frame. Holds compiled code and scratch buffers, never rollout state."""

    name: str
    device: torch.device

    def step(self, cache: FrameCache, now: Drawn, actions: Tensor, noise: Tensor) -> Drawn:
        """The frame after `now` under `actions` (B,A). Side effect: appends one to the cache."""


class EagerEngine:
    """Plain PyTorch, one operation after the other."""

    name = "eager"

    def __init__(self, world: WorldModel, sigmas: Sequence[float], device: torch.device) -> None:
        self.world, self.sigmas, self.device = world, tuple(sigmas), device

    @torch.no_grad()
    def step(self, cache: FrameCache, now: Drawn, actions: Tensor, noise: Tensor) -> Drawn:
        memory, yaw, around = look_round(self.world, now, actions)
        given = now.frame, now.canvas, around, now.pitch, actions, noise
        drawn = draw(self.world, self.sigmas, cache, *given)
        return Drawn(*drawn, yaw, memory, glance(now.glimpses, drawn[0]))


def look_round(world: WorldModel, now: Drawn, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The first half of a step, the same in every engine: the memory and the yaw after `actions`,
    and what the coming view can take from memory."""
    return world.look_round(now.memory, now.frame, now.yaw, now.pitch, actions)


def draw(
    world: WorldModel,
    sigmas: Sequence[float],
    cache: Cache,
    last: Tensor,
    canvas: Tensor,
    around: Tensor,
    pitch: Tensor,
    actions: Tensor,
    noise: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The other half: recycle the picture, denoise, commit, decode, round to bytes. Returns the
    first four fields of `Drawn`."""
    how = world.settings
    recycled, after = world.recycle(world.see(last), pitch, actions, around)
    denoiser, heard = listen(world.denoiser)
    clean = sample_frame(
        denoiser, cache, actions, recycled, noise, sigmas, how.context, how.clean_sigma
    ).clamp(-how.latent_limit, how.latent_limit)
    frame, canvas = world.show(canvas, around, pitch, actions, clean, heard)
    return frame, canvas, clean, after


@torch.no_grad()
def prime(
    world: WorldModel,
    sigmas: Sequence[float],
    cache: FrameCache,
    frames: Tensor,
    actions: Tensor,
    pitch: Tensor,
    noise: Tensor,
) -> Drawn:
    """Teacher-force the tail of a clip into an empty cache and return its last frame as drawn.

    frames (B,T,H,W,3), actions (B,T,A), pitch (B,T), noise (B,T,N,C). Where the model recycles, the
    first frame is not committed: what came before it is unknown, and training never shows that.
    """
    pixels = world.see(frames)
    lanes, count = frames.shape[:2]
    latents = world.tokenizer.encode(pixels.flatten(0, 1))
    latents = latents.reshape(lanes, count, *latents.shape[1:])
    first = 0 if world.denoiser.config.recycle == "none" else 1
    memory, yaw, around = world.remember(frames, actions, pitch)
    if count > first:
        given = None
        if first:
            past, turns = pixels[:, :-1].flatten(0, 1), actions[:, 1:].flatten(0, 1)
            angles, seen = pitch[:, :-1].flatten(), around.flatten(0, 1)
            given, _ = world.recycle(past, angles, turns, seen)
            assert given is not None
            given = given.reshape(lanes, count - 1, *given.shape[1:])
        how = world.settings
        sigma = sigmas[-1] if how.context == "noisy" else how.clean_sigma
        noisy = (1 - sigma) * latents[:, first:] + sigma * noise[:, first:]
        level = noisy.new_full(noisy.shape[:2], sigma)
        world.denoiser(noisy, level, actions[:, first:], given, cache, commit=count - first)
    last = frames[:, -1].clone()
    drawn = last, world.canvas(last), latents[:, -1], pitch[:, -1].clone()
    return Drawn(*drawn, yaw, memory, world.glimpses(frames))


def make_engine(
    name: str, world: WorldModel, lanes: int, sigmas: Sequence[float], device: str
) -> Engine:
    """The engine called `name`; "auto" is the fastest one that is installed."""
    if name not in NAMES:
        raise EngineError(f"no engine {name!r}; did you mean {nearest(name, NAMES)!r}?")
    where = find_device(device)
    if name == "auto":
        name = "eager"
        if where.type == "cuda":
            name = "cudagraph"
        elif where.type == "cpu" and importlib.util.find_spec("openvino"):
            name = "openvino"
    if name == "openvino":
        from nfd_gym.runtime.openvino_engine import OpenVINOEngine

        return OpenVINOEngine(world, lanes, sigmas, where)
    if name == "cudagraph":
        from nfd_gym.runtime.cudagraph_engine import CUDAGraphEngine

        return CUDAGraphEngine(world, lanes, sigmas, where)
    if name == "compile":
        from nfd_gym.runtime.compile_engine import CompileEngine

        return CompileEngine(world, lanes, sigmas, where)
    return EagerEngine(world, sigmas, where)


def find_device(name: str) -> torch.device:
    """The torch device of that name, if this machine has it."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise EngineError(f"no device {name!r}; use 'cpu' or 'cuda'.") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise EngineError(
            f"device {name!r} was asked for, but torch sees no CUDA GPU here; use device='cpu', or "
            "install a CUDA build of torch (https://pytorch.org)."
        )
    return device
