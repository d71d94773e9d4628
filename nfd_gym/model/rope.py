"""Rotary positions on three axes: time, row, column. Scores then depend on differences only."""

import torch
from torch import Tensor


def split_head(head_dim: int) -> tuple[int, int, int]:
    """How many channels of a head turn with time, row, column (each even; time gets a quarter)."""
    time = head_dim // 4 // 2 * 2
    row = (head_dim - time) // 2 // 2 * 2
    return time, row, head_dim - time - row


def angles(times: Tensor, height: int, width: int, head_dim: int, base: float = 100.0) -> Tensor:
    """Angles (T, N, head_dim/2) for frames at `times` (T,) on a height x width token grid.

    The base is small because positions are: at most a few dozen frames and tokens.
    """
    t_dim, r_dim, c_dim = split_head(head_dim)
    rows = torch.arange(height, device=times.device, dtype=torch.float32)
    columns = torch.arange(width, device=times.device, dtype=torch.float32)
    t = times.float()[:, None] * _frequencies(t_dim, base, times.device)
    r = rows[:, None] * _frequencies(r_dim, base, times.device)
    c = columns[:, None] * _frequencies(c_dim, base, times.device)
    frames = len(times)
    return torch.cat(
        [
            t[:, None, None].expand(frames, height, width, -1),
            r[None, :, None].expand(frames, height, width, -1),
            c[None, None].expand(frames, height, width, -1),
        ],
        dim=-1,
    ).flatten(1, 2)


def rotate(x: Tensor, angle: Tensor) -> Tensor:
    """Turn (..., N, heads, head_dim) by (..., N, head_dim/2); i pairs with i + head_dim/2."""
    cos, sin = angle.cos().unsqueeze(-2), angle.sin().unsqueeze(-2)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def _frequencies(channels: int, base: float, device: torch.device) -> Tensor:
    return base ** (
        -torch.arange(0, channels, 2, device=device, dtype=torch.float32) / max(channels, 1)
    )
