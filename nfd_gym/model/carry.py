"""The picture that goes along from frame to frame, pixel by pixel.

A token code of 128 numbers loses detail of a 16x16 patch, and a picture that is resampled at every
step blurs. But the last picture is there, and the denoiser says where its pieces went. So pixels
move whole, to the nearest place, and remember what rounding left over: a canvas (B,5,H,W) of
colours and of how many pixels right and down of its place each is looked at. Moving wears
nothing off; what the net paints goes on top.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from nfd_gym.actions import Camera
from nfd_gym.model.denoiser import FIELD, MOVED, Denoiser
from nfd_gym.model.hand import from_behind
from nfd_gym.model.recycle import TURNING, turn
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.model.warp import in_pixels, sampled_at, turned_grid

PAINTED = 0.05  # a change of this size, of a range of 2, halves what stays of detail
AROUND = 5  # pixels that are one place
ALIKE = 0.15  # colours of one stuff, of a range of 2
CHANNELS = 5
FINE = 254.0  # steps of an offset within a pixel, kept in a byte

Heard = dict[int, Tensor]


def listen(denoiser: Denoiser) -> tuple[Callable[..., Tensor], Heard]:
    """The denoiser, and what it tells in its last evaluation about the motion of its frames:
    `FIELD` (frames,3,H,W), and `MOVED` (frames,N,C) as they were before paint."""
    heard: Heard = {}

    def hear(index: int, told: Tensor) -> None:
        if index in (FIELD, MOVED):
            heard[index] = told.flatten(0, -4 if index == FIELD else -3)

    return partial(denoiser, watch=hear), heard


def canvas_of(pixels: Tensor) -> Tensor:
    """The canvas (B,5,H,W) of a picture (B,3,H,W) that nothing has moved yet."""
    return torch.cat([pixels, torch.zeros_like(pixels[:, :2])], dim=1)


def carry(
    tokenizer: Tokenizer, kind: str, camera: Camera | None, canvas: Tensor, around: Tensor,
    pitch: Tensor, actions: Tensor, latents: Tensor, heard: Heard,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The picture (B,3,H,W) of `latents` (B,N,C) and its canvas.

    `canvas`, seen at `pitch` (B,), is that of the picture before `actions` (B,A), and `around`
    (B,3,H,W) what memory has of the view after them; `heard` is what the denoiser told when it made
    the latents.
    """
    field = heard[FIELD]
    moved = move(canvas, around, field[:, :2], way(kind, camera, pitch, actions, field))
    # All or nothing: a few percent of what stands still would be a trail after a hundred steps.
    moved = torch.where(field[:, 2:] > 0.5, canvas, moved)
    seen = look(moved)
    before = tokenizer.decode_unclamped(heard[MOVED])
    after = tokenizer.decode_unclamped(latents)
    painted = (after - before).square().mean(1, keepdim=True)
    near = F.avg_pool2d(painted, AROUND, 1, AROUND // 2, count_include_pad=False)
    stays = 1 / (1 + near / PAINTED**2)
    picture = after + stays * (seen - before)
    colours = picture + stays * (moved[:, :3] - seen)
    return picture, torch.cat([colours, stays * moved[:, 3:]], dim=1)


def way(kind: str, camera: Camera | None, pitch: Tensor, actions: Tensor, like: Tensor) -> Tensor:
    """How far, in pixels right and down (B,2,H,W), the commanded turn brought each one."""
    height, width = like.shape[-2:]
    if kind not in TURNING:
        return torch.zeros_like(like[:, :2])
    assert camera is not None
    dpitch, dyaw, _ = turn(pitch, actions)
    grid = turned_grid(height, width, dpitch, dyaw, pitch, camera.fov_y)
    return in_pixels(grid) - _places(like)


def move(canvas: Tensor, around: Tensor, shift: Tensor, turned: Tensor) -> Tensor:
    """Every pixel from the place nearest to where it was: `shift` (B,2,H,W) from here, and from
    there by the `turned` way of that place. What was not in view, or behind the hand, comes from
    `around` (B,3,H,W)."""
    height, width = canvas.shape[-2:]
    there = _places(canvas) + shift
    origin = there + sampled_at(turned, there, "bilinear")
    exact = origin + sampled_at(canvas[:, 3:], origin.round(), "nearest")
    place = exact.round()
    colours = grained(canvas[:, :3], place)
    column, row = place[:, :1], place[:, 1:]
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    inside = inside & ~from_behind(column, row)
    colours = torch.where(inside, colours, sampled_at(around, there.round(), "nearest"))
    return torch.cat([colours, (exact - place) * inside], dim=1)


def grained(pixels: Tensor, place: Tensor) -> Tensor:
    """The pixels (B,3,H,W) at whole `place`s (B,2,H,W), and no less grain where they are stretched.

    Who walks on grass sees it grow, and pixels that only doubled would be blots. So of two that
    come from one place, one is taken some pixels aside instead, from the same row and thus from as
    far away, if that is of like colour: it has the grain that belongs there.
    """
    first = sampled_at(pixels, place, "nearest")
    doubled = (place == place.roll(1, -1)).all(1) | (place == place.roll(1, -2)).all(1)
    x, y = _places(place)
    drawn = (31 * x * x + 57 * y * y + 97 * x * y + 13 * x + 7 * y).remainder(251).remainder(16)
    aside = torch.where(drawn < 8, drawn - 10, drawn - 5)  # -10..-3 and 3..10
    other = sampled_at(pixels, torch.stack([place[:, 0] + aside, place[:, 1]], dim=1), "nearest")
    alike = (other - first).abs().mean(1) < ALIKE
    return torch.where((doubled & alike)[:, None], other, first)


def look(canvas: Tensor) -> Tensor:
    """The picture (B,3,H,W) that a canvas shows."""
    places = _places(canvas) + canvas[:, 3:]
    return sampled_at(canvas[:, :3], places, "bicubic")


def to_bytes(canvas: Tensor) -> Tensor:
    """uint8 (B,5,H,W), as states and engines keep it; a picture (B,3,H,W) stays one."""
    colours, offset = (canvas[:, :3] + 1) * 127.5, canvas[:, 3:] * FINE + 127
    return torch.cat([colours, offset], dim=1).round().clamp(0, 255).to(torch.uint8)


def from_bytes(kept: Tensor) -> Tensor:
    """Inverts `to_bytes`."""
    return torch.cat([colours_of(kept), (kept[:, 3:].float() - 127) / FINE], dim=1)


def colours_of(kept: Tensor) -> Tensor:
    """(B,3,H,W) of a canvas, or of a picture, in bytes."""
    return kept[:, :3].float() * (2 / 255) - 1


def _places(like: Tensor) -> Tensor:
    """Column and row of every pixel of (...,H,W), (2,H,W)."""
    height, width = like.shape[-2:]
    columns = torch.arange(width, device=like.device, dtype=like.dtype).expand(height, width)
    rows = torch.arange(height, device=like.device, dtype=like.dtype)[:, None]
    return torch.stack([columns, rows.expand(height, width)])
