"""Learned motion: pieces of the last frame slide to where they are now, before anything is painted.

The commanded rotation moves the whole picture rightly, but a step forward moves near ground far and
the sky not at all, and the hand and the crosshair stay where they are. No action says so: depth is
in the picture. So the denoiser also says, for every few pixels, how near they are, where they came
from beyond that, and whether they turned at all; what slid into place keeps its texture over a long
rollout, and the net paints only what is new.

Depth is learned from walking alone: the slide of a pixel is the step of the eyes projected at its
nearness, which begins as that of flat ground. Lengths are in eye heights, so ground straight below
has nearness 1 and the sky 0.
"""

from itertools import product

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from nfd_gym.model.attention import differentiates_forward
from nfd_gym.model.hand import hand
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.model.warp import focal_length, sampled_at

REACH = 4.0  # pixels that an output of 1 stands for


class Motion(nn.Module):
    """Moves the recycled latents; begins by walking on flat ground and painting everything.

    Sliding needs pixels: the linear part of the tokenizer's code is kept here as buffers.
    """

    code_in: Tensor
    code_out: Tensor
    centre: Tensor

    def __init__(
        self, grid: tuple[int, int], width: int, channels: int, patch: int, cells: int,
        fov_y: float = 72.0, walks: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if patch % cells:
            raise ValueError(f"motion must divide the patch of {patch} pixels, got {cells} cells")
        self.grid, self.patch, self.cells, self.walks = grid, patch, cells, walks
        self.focal = focal_length(grid[0] * patch, fov_y)
        # Paint; then right, down, still (and near) by cell.
        self.out = nn.Linear(width, 1 + (3 + walks) * cells * cells)
        self.step = nn.Linear(width, 3) if walks else None  # right, down, ahead: jumps and walls
        for layer in (self.out, self.step):
            if layer is not None:
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
        self.register_buffer("code_in", torch.zeros(channels, 3 * patch * patch))
        self.register_buffer("code_out", torch.zeros(3 * patch * patch, channels))
        self.register_buffer("centre", torch.zeros(3 * patch * patch))

    @torch.no_grad()
    def learn_code(self, tokenizer: Tokenizer) -> None:
        """Copy the tokenizer's linear patch code. Side effect: fills the buffers."""
        std, mean = tokenizer.std, tokenizer.mean
        self.code_in.copy_(tokenizer.patch_in.weight / std[:, None])
        self.code_out.copy_(tokenizer.patch_out.weight * std)
        self.centre.copy_(tokenizer.patch_out(mean))

    def forward(
        self, hidden: Tensor, recycled: Tensor, paint: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Clean frames (B,T,N,C) from tokens (B,T,N,D), recycled inputs of any kind that has
        pictures, and the paint; the same frames before painting; and by what field (BT,3,H,W)
        they moved: pixels right and down, and the share that stood still."""
        c = paint.shape[-1]
        turned = recycled[..., :c]
        still = recycled[..., c : 2 * c] if recycled.shape[-1] > c else turned
        said = self.out(hidden)
        walk = None
        if self.step is not None:
            right, ahead, pitch = recycled[..., 0, 2 * c :].flatten(0, 1).unbind(-1)
            more = self.step(hidden.mean(-2)).flatten(0, 1)
            walk = to_camera(right + more[:, 0], more[:, 1], ahead + more[:, 2], pitch), pitch
        field = self._field(said[..., 1:].flatten(0, 1), walk)
        change = self._change(turned.flatten(0, 1), still.flatten(0, 1), field)
        moved = turned + change.view_as(turned)
        # Not paint * (1 + ...): OpenVINO 2026.4 fails to fuse that product.
        painted: Tensor = moved + paint + paint * said[..., :1]
        return painted, moved, field

    def _field(self, said: Tensor, walk: tuple[Tensor, Tensor] | None) -> Tensor:
        (h, w), p, c = self.grid, self.patch, self.cells
        said = rearrange(said, "b (h w) (d p q) -> b d (h p) (w q)", h=h, w=w, p=c, q=c)
        said = F.interpolate(said, scale_factor=p // c, mode="bilinear")
        shift = REACH * said[:, :2]
        if walk is not None:
            shift = shift + parallax(*walk, said[:, 3], self.focal)
        still = said[:, 2:3]
        if self.walks:  # through somebody's eyes nothing stands but their hand
            still = still * hand(h * p, w * p, still.device)
        return torch.cat([shift, still], dim=1)

    def _change(self, turned: Tensor, still: Tensor, field: Tensor) -> Tensor:
        """What moving adds to `turned` (B,N,C): nothing, to rounding, where nothing moves."""
        p = self.patch
        before = self._picture(turned)
        after = slide(before, field[:, :2])
        after = after + field[:, 2:] * (self._picture(still) - after)
        change = rearrange(after - before, "b k (h p) (w q) -> b (h w) (k p q)", p=p, q=p)
        return F.linear(change, self.code_in)

    def _picture(self, latents: Tensor) -> Tensor:
        (h, w), p = self.grid, self.patch
        patches = F.linear(latents, self.code_out, self.centre)
        return rearrange(patches, "b (h w) (k p q) -> b k (h p) (w q)", h=h, w=w, p=p, q=p)


def to_camera(right: Tensor, down: Tensor, ahead: Tensor, pitch: Tensor) -> Tensor:
    """A step (B,) of the body in the axes of a camera that looks `pitch` radians down: (B,3)."""
    c, s = pitch.cos(), pitch.sin()
    return torch.stack([right, c * down - s * ahead, s * down + c * ahead], dim=-1)


def parallax(step: Tensor, pitch: Tensor, nearer: Tensor, focal: float) -> Tensor:
    """Where each pixel was before the eyes moved by `step` (B,3): (B,2,H,W), pixels right and down.

    Nearness is that of flat ground, one eye height below, plus `nearer` (B,H,W).
    """
    height, width = nearer.shape[-2:]
    y = (torch.arange(height, device=nearer.device) + 0.5 - height / 2)[:, None] / focal
    x = (torch.arange(width, device=nearer.device) + 0.5 - width / 2) / focal
    p = pitch[:, None, None]
    near = (p.cos() * y + p.sin()).clamp_min(0.0) + nearer
    right, down, ahead = (step[:, i, None, None] for i in range(3))
    depth = (1 + near * ahead).clamp_min(0.25)  # how much farther it was; never behind the eyes
    shift = torch.stack([(x + near * right) / depth - x, (y + near * down) / depth - y], dim=1)
    return focal * shift


def slide(picture: Tensor, shift: Tensor) -> Tensor:
    """Every pixel of (B,K,H,W) from where `shift` (B,2,H,W) points, in pixels right and down.

    Bicubic, because a rollout resamples its own pictures; beyond the border it is mirrored, as in
    `warp`.
    """
    height, width = picture.shape[-2:]
    columns = shift[:, 0] + torch.arange(width, device=shift.device)
    rows = shift[:, 1] + torch.arange(height, device=shift.device)[:, None]
    if differentiates_forward():
        return _gathered(picture, columns, rows)
    return sampled_at(picture, torch.stack([columns, rows], dim=1), "bicubic")


def _gathered(picture: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """As grid_sample, whose kernel has no forward-mode derivative."""
    height, width = picture.shape[-2:]
    left, top = columns.detach().floor(), rows.detach().floor()
    across, down = _cubic(columns - left), _cubic(rows - top)
    flat, out = picture.flatten(2), torch.zeros_like(picture)
    for i, j in product(range(4), range(4)):
        row, column = _mirrored(top + i - 1, height), _mirrored(left + j - 1, width)
        index = (row * width + column).long()[:, None].expand(-1, picture.shape[1], -1, -1)
        tap = flat.gather(2, index.flatten(2)).view(*index.shape)
        out = out + tap * (down[i] * across[j])[:, None]
    return out


def _mirrored(places: Tensor, size: int) -> Tensor:
    """Whole numbers folded into 0..size-1 at the borders."""
    places = places.remainder(2 * size)
    return torch.minimum(places, 2 * size - 1 - places)


def _cubic(t: Tensor) -> list[Tensor]:
    """Weights of the four pixels around a point `t` in 0..1 behind the second (a = -0.75)."""
    a = -0.75

    def outer(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    def inner(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    return [outer(t + 1), inner(t), inner(1 - t), outer(2 - t)]
