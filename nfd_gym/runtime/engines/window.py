"""One evaluation of the denoiser as a function of tensors alone: full windows never change shape.

What compilers take. Everything around it (body, memory, tokenizer) stays eager.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nfd_gym.model.cache import FrameCache
from nfd_gym.model.denoiser import Denoiser, DenoiserConfig

# tensors that `WindowNet` takes -> clean, keys, values, the caller's to keep
Compiled = Callable[[list[Tensor]], tuple[Tensor, Tensor, Tensor]]


class Window:
    """A full window of context: what a denoiser reads and appends to in place of the ring."""

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


class WindowNet(nn.Module):
    """(noisy, sigma, control, [condition], *past) -> clean, keys, values."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(
        self, noisy: Tensor, sigma: Tensor, control: Tensor, *rest: Tensor
    ) -> tuple[Tensor, ...]:
        given = int(self.denoiser.config.condition)
        window = Window(rest[given:])
        condition = rest[0] if given else None
        clean = self.denoiser(noisy, sigma, control, condition, window, 1)
        return clean, *window.new


def example(config: DenoiserConfig, num_envs: int, device: torch.device) -> list[Tensor]:
    """Zeros of the shapes that `WindowNet` takes."""
    c = config
    shapes = [(num_envs, 1, c.tokens, c.channels), (num_envs, 1), (num_envs, 1, c.control_width)]
    if c.condition:
        shapes.append((num_envs, 1, c.tokens, c.condition_width))
    past = (num_envs, c.window, c.tokens, c.heads, c.head_dim)
    shapes += [past] * (2 * len(c.causal_blocks))
    return [torch.zeros(shape, device=device) for shape in shapes]


class WindowDenoiser:
    """A denoiser whose single frames of `num_envs` with full windows are computed by `compiled`;
    the rest (just after a reset from a short clip, several frames at once, some of the
    environments alone) stays eager."""

    def __init__(self, eager: Denoiser, compiled: Compiled, num_envs: int) -> None:
        self.eager, self.compiled, self.num_envs = eager, compiled, num_envs
        self.config = eager.config

    def __call__(
        self, noisy: Tensor, sigma: Tensor, control: Tensor, condition: Tensor | None,
        cache: FrameCache, commit: int,
    ) -> Tensor:  # fmt: skip
        full = bool((cache.valid >= cache.window).all())
        if noisy.shape[1] != 1 or len(noisy) != self.num_envs or not full:
            return self.eager(noisy, sigma, control, condition, cache, commit)  # type: ignore[no-any-return]
        layers = [cache.past(layer) for layer in range(len(cache.keys))]
        given = [noisy, sigma, control] + ([] if condition is None else [condition])
        past = [keys for keys, _ in layers] + [values for _, values in layers]
        clean, keys, values = self.compiled(given + past)
        if commit:
            cache.append(keys, values)
        return clean
