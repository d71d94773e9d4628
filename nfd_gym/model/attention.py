"""Attention over frames of tokens: inside a frame, and block-causal over frames.

Shapes are (B, T, N, heads, head_dim) throughout. Only valid keys are read: instead of masking, the
window of each frame is sliced, which on a CPU is 3-4 times less work at 8 frames of context.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor

_PLAIN: ContextVar[bool] = ContextVar("plain_attention", default=False)


@contextlib.contextmanager
def eager() -> Iterator[None]:
    """Inside, attention is written out in matrix products: the fused kernels have no forward-mode
    derivative, which consistency distillation needs."""
    token = _PLAIN.set(True)
    try:
        yield
    finally:
        _PLAIN.reset(token)


def differentiates_forward() -> bool:
    """Whether `eager` is on; other modules with fused kernels ask too."""
    return _PLAIN.get()


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B, S, heads, d) queries over (B, R, heads, d) keys -> (B, S, heads, d); mask True: look."""
    q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    if _PLAIN.get():
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        out: Tensor = scores.softmax(-1) @ v
    else:
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return out.transpose(1, 2)


def within_frames(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Every token sees the tokens of its own frame."""
    frames = q.shape[1]
    out = attend(q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1))
    return out.view(-1, frames, *out.shape[1:])


def over_frames(
    q: Tensor, k: Tensor, v: Tensor, past: int, window: int, mask: Tensor | None = None
) -> Tensor:
    """Every token of new frame i sees its own frame and the `window` frames before it.

    k and v hold `past` older frames before the new ones. `mask` (B, past) hides older frames that a
    lane does not have (after a reset with a short clip).
    """
    new, tokens = q.shape[1], q.shape[2]
    outs = []
    for i in range(new):
        last = past + i + 1
        first = max(0, last - 1 - window)
        seen = None
        if mask is not None and first < past:
            old = mask[:, first:past]
            seen = torch.cat([old, old.new_ones(len(old), last - past)], dim=1)
            seen = seen.repeat_interleave(tokens, dim=1)[:, None, None]
        outs.append(
            attend(q[:, i], k[:, first:last].flatten(1, 2), v[:, first:last].flatten(1, 2), seen)
        )
    return torch.stack(outs, dim=1)


def over_packed(q: Tensor, k: Tensor, v: Tensor, window: int) -> Tensor:
    """Teacher forcing on [clean 1..T | noisy 1..T]: clean frame i sees clean frames up to i, noisy
    frame i sees clean frames before i and itself."""
    frames = q.shape[1] // 2
    outs: list[Tensor] = []
    noisy: list[Tensor] = []
    for i in range(frames):
        first, own = max(0, i - window), frames + i
        outs.append(
            attend(q[:, i], k[:, first : i + 1].flatten(1, 2), v[:, first : i + 1].flatten(1, 2))
        )
        keys = torch.cat([k[:, first:i], k[:, own : own + 1]], dim=1).flatten(1, 2)
        values = torch.cat([v[:, first:i], v[:, own : own + 1]], dim=1).flatten(1, 2)
        noisy.append(attend(q[:, own], keys, values))
    return torch.stack(outs + noisy, dim=1)
