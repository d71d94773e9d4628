"""What a student's free run can still be asked to share with the recording, and what not.

What turns into view nobody can know, and after some seconds a run is elsewhere: there a recording
is one of many right answers, and their mean is a blur that the rollout keeps. So a place that was
never seen, or long ago, is asked to stay as it was imagined instead. Both pulls are of robust
errors: like a median, the stronger one has its way entirely, so nothing is averaged. What just
turned into view has a colour all the same: above the horizon is sky, whatever was mirrored there.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from nfd_gym.actions import Camera
from nfd_gym.model.hand import hand
from nfd_gym.model.recycle import turn
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.model.warp import sampled, turned_grid, warp
from nfd_gym.train.denoiser_step import Window

TURNS = 1.0  # degrees in a tick that tell a thing on the screen from a thing in the world
DIFFERS = 0.05  # of a pixel: less tells nothing
SURE = 0.9  # a share that stands still is asked for this, or for the rest to 1


def roughness(field: Tensor) -> Tensor:
    """Mean bend of a motion field (F,3,H,W) along rows and columns: what moves as one stays whole.

    Of bends, not of slopes: walking is a slope, and a price on that stops it. Nor of the share that
    stands still: the hand has an edge, and a price on that drowns it.
    """
    shift = field[:, :2]
    across, down = (shift.diff(n=2, dim=dim).abs().mean() for dim in (-1, -2))
    return across + down


@torch.no_grad()
def known(window: Window, camera: Camera, fade: float, patch: int) -> tuple[Tensor, Tensor]:
    """(B,T,N) in 0..1: how much each token of frames 1.. can be known from frame 0; and how much of
    it just turned into view.

    Seen once and turned since, times `fade` for every tick; 1 for what stays on the screen (the
    hand).
    """
    (height, width), stays = window.pixels.shape[-2:], on_screen(window, camera)
    seen = torch.ones_like(stays)
    pitch, out, new = window.pitch[:, 0], [], []
    for i in range(window.actions.shape[1]):
        dpitch, dyaw, after = turn(pitch, window.actions[:, i])
        grid = turned_grid(height, width, dpitch, dyaw, pitch, camera.fov_y)
        inside = (grid.abs() <= 1).all(1, keepdim=True)
        old = sampled(seen, grid, "bilinear")
        seen = torch.maximum(fade * old * inside, stays)
        out.append(F.avg_pool2d(seen, patch).flatten(1))
        new.append(F.avg_pool2d((~inside).float() * (1 - stays), patch).flatten(1))
        pitch = after
    return torch.stack(out, dim=1), torch.stack(new, dim=1)


def colour_of_tokens(tokenizer: Tokenizer) -> Tensor:
    """(3,C): what a difference of latents makes of the mean colour of a token's pixels."""
    mean: Tensor = tokenizer.patch_out.weight.unflatten(0, (3, -1)).mean(1) * tokenizer.std
    return mean


def on_screen(window: Window, camera: Camera) -> Tensor:
    """(B,1,H,W), 1 where a clip shows things that stay on the screen while the world turns."""
    still, told = evidence(window, camera)
    return (still > 0.3 * (told + 1.0)).float()


@torch.no_grad()
def evidence(window: Window, camera: Camera) -> tuple[Tensor, Tensor]:
    """In how many frames of a clip each place (B,1,H,W) stood still against the turn, and in how
    many one could tell."""
    last, now = window.pixels[:, :-1].flatten(0, 1), window.pixels[:, 1:].flatten(0, 1)
    pitch = window.pitch[:, :-1].flatten()
    dpitch, dyaw, _ = turn(pitch, window.actions.flatten(0, 1))
    turned = warp(last, dpitch, dyaw, pitch, camera.fov_y)
    as_still = (now - last).abs().mean(1, keepdim=True)
    as_turned = (now - turned).abs().mean(1, keepdim=True)
    asked = ((dpitch.abs() + dyaw.abs()) > TURNS)[:, None, None, None]
    telling = asked & (torch.maximum(as_still, as_turned) > DIFFERS)
    still = telling & (as_still < 0.5 * as_turned)
    frames = window.actions.shape[:2]
    still, telling = (part.float().unflatten(0, frames).sum(1) for part in (still, telling))
    return F.avg_pool2d(still, 9, 1, 4), F.avg_pool2d(telling, 9, 1, 4)


def misplaced(share: Tensor, window: Window, camera: Camera) -> Tensor:
    """How far a share that stands still (B,T,H,W) is on the wrong side of what a clip shows: a hand
    should stand, and what turned beside it should not. Where nobody can tell it is free."""
    still, told = evidence(window, camera)
    stands = (still > 0.3 * (told + 1.0)).expand_as(share)
    zone = hand(share.shape[-2], share.shape[-1], told.device)
    shown = (told > 1.0) & zone
    turns = shown.expand_as(share) & (still < 0.1 * told).expand_as(share)
    wrong = torch.where(stands, SURE - share, share - (1 - SURE)).clamp_min(0).square()
    either = stands & zone | turns
    return wrong[either].sum() / either.sum().clamp_min(1)
