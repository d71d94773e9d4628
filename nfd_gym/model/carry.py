"""The detail that latents cannot hold, carried from picture to picture.

A token code of 128 numbers loses detail of a 16x16 patch, and loses some again at every turn. But
the last picture is there, and the denoiser says where its pieces went: what their code lost goes
along with them, and ends where something new is painted over it.
"""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor

from nfd_gym.actions import Camera
from nfd_gym.model.denoiser import FIELD, Denoiser
from nfd_gym.model.motion import slide
from nfd_gym.model.recycle import TURNING, turn
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.model.warp import warp

PAINTED = 0.05  # a change of this size, of a range of 2, halves what is carried
AROUND = 5  # pixels that are one place


def listen(denoiser: Denoiser) -> tuple[Callable[..., Tensor], list[Tensor]]:
    """The denoiser, and a list that grows by the motion field of each of its evaluations."""
    fields: list[Tensor] = []

    def hear(index: int, told: Tensor) -> None:
        if index == FIELD:
            fields.append(told)

    return partial(denoiser, watch=hear), fields


def detail(
    tokenizer: Tokenizer, kind: str, camera: Camera | None, last: Tensor, pitch: Tensor,
    actions: Tensor, latents: Tensor, field: Tensor,
) -> Tensor:  # fmt: skip
    """What to add to the decoded `latents` (B,N,C): (B,3,H,W).

    `last` (B,3,H,W), seen at `pitch` (B,), is the picture before `actions` (B,A); `field` (B,3,H,W)
    where its pieces went: pixels right and down, and how far they did not turn with the view.
    """
    turned = last
    if kind in TURNING:
        assert camera is not None
        dpitch, dyaw, _ = turn(pitch, actions)
        turned = warp(last, dpitch, dyaw, pitch, camera.fov_y, round_the_world=True)
    moved = slide(turned, field[:, :2])
    moved = moved + field[:, 2:] * (last - moved)
    coarse = tokenizer.decode_unclamped(tokenizer.encode(moved))
    painted = (tokenizer.decode_unclamped(latents) - coarse).square().mean(1, keepdim=True)
    near = F.avg_pool2d(painted, AROUND, 1, AROUND // 2, count_include_pad=False)
    return (moved - coarse) / (1 + near / PAINTED**2)
