"""Rotary positions: lengths stay, and scores depend on differences of positions only."""

import pytest
import torch
from torch import Tensor

from nfd_gym.model.rope import angles, rotate, split_head

ROWS, COLUMNS, DIM = 3, 4, 24


def scores(times: list[int], random: torch.Generator, keys_at: list[int] | None = None) -> Tensor:
    """Scores (N, T, N', T') of one random query and key per head, placed everywhere."""
    q, k = torch.randn((2, DIM), generator=random, dtype=torch.float64)
    count = ROWS * COLUMNS
    at = [torch.tensor(t, dtype=torch.float64) for t in (times, keys_at or times)]
    turn = [angles(t, ROWS, COLUMNS, DIM).double() for t in at]
    queries, keys = (
        rotate(x.expand(len(a), count, 1, DIM), a).squeeze(2)
        for x, a in zip((q, k), turn, strict=True)
    )
    return torch.einsum("tnd,smd->tnsm", queries, keys)


@pytest.mark.parametrize("head_dim", [2, 6, 16, 24, 64, 128])
def test_a_head_is_split_into_even_parts(head_dim: int) -> None:
    parts = split_head(head_dim)
    assert sum(parts) == head_dim and all(part >= 0 and part % 2 == 0 for part in parts)
    assert angles(torch.arange(5), ROWS, COLUMNS, head_dim).shape == (5, 12, head_dim // 2)


def test_turning_keeps_lengths_and_position_zero() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn((5, ROWS * COLUMNS, 2, DIM), generator=random)
    turned = rotate(x, angles(torch.arange(5), ROWS, COLUMNS, DIM))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[0, 0], x[0, 0])
    assert not torch.allclose(turned[1, 0], x[1, 0])


@pytest.mark.parametrize("shift", [-40, -1, 7])
def test_scores_depend_on_time_differences_only(shift: int) -> None:
    times = [0, 1, 2, 5]
    here = scores(times, torch.Generator().manual_seed(1))
    there = scores([t + shift for t in times], torch.Generator().manual_seed(1))
    torch.testing.assert_close(here, there, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(here[0, 0, 1], here[0, 0, 2], atol=1e-3), "time matters"


def test_scores_depend_on_grid_differences_only() -> None:
    grid = scores([0], torch.Generator().manual_seed(2)).view(ROWS, COLUMNS, ROWS, COLUMNS)
    inner = grid[:-1, :-1, :-1, :-1]
    torch.testing.assert_close(grid[1:, 1:, 1:, 1:], inner, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(grid[0, 0, 1], grid[0, 0, 0], atol=1e-3), "the row matters"
    assert not torch.allclose(grid[0, 0, :, 1], grid[0, 0, :, 0], atol=1e-3), "the column matters"
