"""Learned motion: pieces of the last frame slide to where they are now, before anything is painted.

The commanded rotation moves the whole picture rightly, but a step forward moves near ground far and
the sky not at all, and the hand and the crosshair stay where they are. No action says so: depth is
in the picture. So the denoiser also says, for every few pixels, where they came from and whether
they turned at all; what slid into place keeps its texture over a long rollout, and the net paints
only what is new.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from nfd_gym.model.attention import differentiates_forward
from nfd_gym.model.tokenizer import Tokenizer

REACH = 4.0  # pixels that an output of 1 stands for


class Motion(nn.Module):
    """Moves the recycled latents; starts by moving nothing and painting everything.

    Sliding needs pixels: the linear part of the tokenizer's code is kept here as buffers.
    """

    code_in: Tensor
    code_out: Tensor
    centre: Tensor

    def __init__(
        self, grid: tuple[int, int], width: int, channels: int, patch: int, cells: int
    ) -> None:
        super().__init__()
        if patch % cells:
            raise ValueError(f"motion must divide the patch of {patch} pixels, got {cells} cells")
        self.grid, self.patch, self.cells = grid, patch, cells
        self.out = nn.Linear(width, 1 + 3 * cells * cells)  # paint; right, down, still by cell
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
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

    def forward(self, hidden: Tensor, turned: Tensor, still: Tensor, paint: Tensor) -> Tensor:
        """Clean frames (B,T,N,C) from tokens (B,T,N,D), the last frame turned and as it was, and
        the paint."""
        said = self.out(hidden)
        change = self._change(
            turned.flatten(0, 1), still.flatten(0, 1), said[..., 1:].flatten(0, 1)
        )
        moved = turned + change.view_as(turned)
        # Not paint * (1 + ...): OpenVINO 2026.4 fails to fuse that product.
        painted: Tensor = moved + paint + paint * said[..., :1]
        return painted

    def _change(self, turned: Tensor, still: Tensor, said: Tensor) -> Tensor:
        """What moving adds to `turned` (B,N,C): nothing, to rounding, where nothing was said."""
        (h, w), p, c = self.grid, self.patch, self.cells
        said = rearrange(said, "b (h w) (d p q) -> b d (h p) (w q)", h=h, w=w, p=c, q=c)
        said = F.interpolate(said, scale_factor=p // c, mode="bilinear")
        before = self._picture(turned)
        after = slide(before, REACH * said[:, :2])
        after = after + said[:, 2:] * (self._picture(still) - after)
        change = rearrange(after - before, "b k (h p) (w q) -> b (h w) (k p q)", p=p, q=p)
        return F.linear(change, self.code_in)

    def _picture(self, latents: Tensor) -> Tensor:
        (h, w), p = self.grid, self.patch
        patches = F.linear(latents, self.code_out, self.centre)
        return rearrange(patches, "b (h w) (k p q) -> b k (h p) (w q)", h=h, w=w, p=p, q=p)


def slide(picture: Tensor, shift: Tensor) -> Tensor:
    """Every pixel of (B,K,H,W) from where `shift` (B,2,H,W) points, in pixels right and down.

    Bilinear; beyond the border the border repeats.
    """
    height, width = picture.shape[-2:]
    columns = shift[:, 0] + torch.arange(width, device=shift.device)
    rows = shift[:, 1] + torch.arange(height, device=shift.device)[:, None]
    if differentiates_forward():
        return _gathered(picture, columns, rows)
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=-1)
    return F.grid_sample(picture, grid, padding_mode="border", align_corners=False)


def _gathered(picture: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """As grid_sample, whose kernel has no forward-mode derivative."""
    height, width = picture.shape[-2:]
    columns, rows = columns.clamp(0, width - 1), rows.clamp(0, height - 1)
    left = columns.detach().floor().clamp_max(width - 2)
    top = rows.detach().floor().clamp_max(height - 2)
    right_share, low_share = (columns - left)[:, None], (rows - top)[:, None]
    corner = (top * width + left).long()[:, None]
    flat = picture.flatten(2)

    def at(offset: int) -> Tensor:
        index = (corner + offset).expand(-1, picture.shape[1], -1, -1)
        return flat.gather(2, index.flatten(2)).view(*index.shape)

    upper = at(0) + (at(1) - at(0)) * right_share
    lower = at(width) + (at(width + 1) - at(width)) * right_share
    return upper + (lower - upper) * low_share
