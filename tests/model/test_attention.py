"""Sliced attention against one explicit mask, and the fused kernel against written-out products."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nfd_gym.model.attention import attend, eager, over_frames, over_packed, within_frames

B, N, H, D = 2, 3, 2, 8


def qkv(frames: int, seed: int = 0) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn((B, frames, N, H, D), generator=random) for _ in range(3)]


def masked(q: Tensor, k: Tensor, v: Tensor, may_look: Callable[[int, int, int], bool]) -> Tensor:
    """All frames at once; may_look(lane, query frame, key frame)."""
    rows, columns = q.shape[1], k.shape[1]
    table = [[[may_look(b, i, j) for j in range(columns)] for i in range(rows)] for b in range(B)]
    mask = torch.tensor(table).repeat_interleave(N, 1).repeat_interleave(N, 2)[:, None]
    out = attend(q.flatten(1, 2), k.flatten(1, 2), v.flatten(1, 2), mask)
    return out.unflatten(1, (rows, N))


@pytest.mark.parametrize("window", [1, 3, 50])
def test_packed_slices_equal_the_explicit_mask(window: int) -> None:
    frames = 6

    def may_look(_: int, i: int, j: int) -> bool:
        query, key = i % frames, j % frames
        if j >= frames:  # a noisy key: only its own frame's noisy queries
            return i == j
        return query - window <= key <= (query if i < frames else query - 1)

    q, k, v = qkv(2 * frames)
    torch.testing.assert_close(over_packed(q, k, v, window), masked(q, k, v, may_look))


@pytest.mark.parametrize("window", [1, 3, 50])
@pytest.mark.parametrize("past", [0, 2, 5])
def test_causal_slices_equal_the_explicit_mask(window: int, past: int) -> None:
    new, random = 4, torch.Generator().manual_seed(1)
    q, k, v = qkv(new + past)
    q = q[:, past:]
    held = torch.rand((B, past), generator=random) < 0.6
    for mask in (None, held):

        def may_look(b: int, i: int, j: int, mask: Tensor | None = mask) -> bool:
            there = mask is None or j >= past or bool(mask[b, j])
            return there and past + i - window <= j <= past + i

        out = over_frames(q, k, v, past, window, mask)
        torch.testing.assert_close(out, masked(q, k, v, may_look))


def test_within_frames_equals_the_explicit_mask() -> None:
    q, k, v = qkv(4)
    torch.testing.assert_close(within_frames(q, k, v), masked(q, k, v, lambda _, i, j: i == j))


def test_written_out_attention_equals_the_fused_kernel() -> None:
    q, k, v = (part.flatten(1, 2) for part in qkv(4))
    mask = torch.rand((B, 1, 4 * N, 4 * N), generator=torch.Generator().manual_seed(2)) < 0.5
    mask |= torch.eye(4 * N, dtype=torch.bool)  # a row that sees nothing has no answer
    for seen in (None, mask):
        fused = attend(q, k, v, seen)
        with eager():
            torch.testing.assert_close(attend(q, k, v, seen), fused)
        assert torch.equal(attend(q, k, v, seen), fused), "eager() ends with its block"


def test_written_out_attention_has_a_forward_derivative() -> None:
    """Continuous-time distillation differentiates forward; compared with a central difference."""
    q, k, v = (part.flatten(1, 2).double() for part in qkv(2))
    direction = torch.randn(q.shape, generator=torch.Generator().manual_seed(3)).double()
    with eager():
        _, tangent = torch.func.jvp(lambda x: attend(x, k, v), (q,), (direction,))
        step = 1e-5
        there, back = (attend(q + sign * step * direction, k, v) for sign in (1, -1))
    torch.testing.assert_close(tangent, (there - back) / (2 * step), atol=1e-7, rtol=1e-6)
