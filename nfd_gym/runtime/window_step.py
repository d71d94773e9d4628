"""One step as a function of tensors alone, for compilers: full windows never change shape."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nfd_gym.model.cache import FrameCache
from nfd_gym.model.carry import CHANNELS
from nfd_gym.model.heads import glance
from nfd_gym.runtime.engine import Drawn, draw, look_round
from nfd_gym.world import WorldModel


class Window:
    """A full window of context: what `draw` reads and appends to in place of the ring."""

    def __init__(self, past: Sequence[Tensor]) -> None:
        """`past`: the keys of every layer, then the values, each (B, window, N, heads, d)."""
        self.layers = len(past) // 2
        self.keys, self.values = past[: self.layers], past[self.layers :]
        self.length = past[0].shape[1]
        self.new: tuple[Tensor, ...] = ()

    def mask(self) -> None:
        return None

    def past(self, layer: int) -> tuple[Tensor, Tensor]:
        return self.keys[layer], self.values[layer]

    def append(self, keys: Tensor, values: Tensor) -> None:
        self.new = (keys, values)

    def truncate(self, frames: int) -> None:
        raise NotImplementedError("a window is the past of one step; truncate the ring instead")


class WindowStep(nn.Module):
    """(frame, canvas, around, pitch, actions, noise, *past) -> `draw`'s, keys, values."""

    def __init__(self, world: WorldModel, sigmas: Sequence[float]) -> None:
        super().__init__()
        self.world, self.sigmas = world, tuple(sigmas)
        self.tokenizer, self.denoiser = world.tokenizer, world.denoiser  # compilers want them

    def forward(
        self,
        frame: Tensor,
        canvas: Tensor,
        around: Tensor,
        pitch: Tensor,
        actions: Tensor,
        noise: Tensor,
        *past: Tensor,
    ) -> tuple[Tensor, ...]:
        window = Window(past)
        given = frame, canvas, around, pitch, actions, noise
        return *draw(self.world, self.sigmas, window, *given), *window.new


def step_inputs(world: WorldModel, lanes: int, device: torch.device) -> tuple[Tensor, ...]:
    """Zeros of the shapes that `WindowStep` takes."""
    c, (width, height) = world.denoiser.config, world.size
    past = (lanes, c.window, c.tokens, c.heads, c.head_dim)
    code = (lanes, c.tokens, c.channels)
    planes = ((lanes, channels, height, width) for channels in (CHANNELS, 3))
    pictures = (
        torch.zeros(shape, dtype=torch.uint8, device=device)
        for shape in ((lanes, height, width, 3), *planes)
    )
    shapes = [(lanes,), (lanes, c.action_width), code, *[past] * 2 * len(c.causal_blocks)]
    return *pictures, *(torch.zeros(shape, device=device) for shape in shapes)


class Step(NamedTuple):
    """A step that a compiled graph takes over half way."""

    given: list[Tensor]  # what `WindowStep` takes
    yaw: Tensor
    memory: Tensor
    glimpses: Tensor  # of the frame before

    def finish(self, made: Iterable[Tensor]) -> Drawn:
        """Copies of what `WindowStep` returned, keys and values aside: graphs write to their
        buffers again."""
        frame, canvas, latents, pitch = (part.clone() for part in made)
        seen = glance(self.glimpses, frame)
        return Drawn(frame, canvas, latents, pitch, self.yaw, self.memory, seen)


def half_step(
    world: WorldModel, cache: FrameCache, now: Drawn, actions: Tensor, noise: Tensor
) -> Step:
    """Look round as every engine does; the rest has shapes that never change."""
    memory, yaw, around = look_round(world, now, actions)
    rest = now.pitch, actions, noise, *windows(cache)
    return Step([now.frame, now.canvas, around, *rest], yaw, memory, now.glimpses)


def is_full(cache: FrameCache) -> bool:
    """Whether every lane has a whole window of context, which compiled steps need."""
    return bool((cache.valid >= cache.window).all())


def windows(cache: FrameCache) -> list[Tensor]:
    """The `past` of a cache with full windows: views where the ring has not wrapped."""
    layers = [cache.past(layer) for layer in range(len(cache.keys))]
    return [keys for keys, _ in layers] + [values for _, values in layers]
