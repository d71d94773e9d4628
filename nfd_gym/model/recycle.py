"""The last frame as an input of the next one: plain, as seen after the commanded rotation, or both
(the hand and the crosshair do not turn with the world)."""

import torch
from torch import Tensor

from nfd_gym.keyboard import LOG_SCALE, PITCH
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.model.warp import warp

PITCH_LIMIT = 89.5  # degrees; games stop there


def turn(pitch: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(dpitch, dyaw, new pitch) in degrees that `actions` (..., A) command from `pitch` (...).

    The action vector ends in pitch and yaw on the log scale of `keyboard.py`.
    """
    camera = actions[..., PITCH : PITCH + 2].float()
    degrees = camera.sign() * torch.expm1(camera.abs() * LOG_SCALE)
    after = (pitch + degrees[..., 0]).clamp(-PITCH_LIMIT, PITCH_LIMIT)
    return after - pitch, degrees[..., 1], after


def recycle(
    tokenizer: Tokenizer,
    kind: str,
    fov_y: float | None,
    pixels: Tensor,
    pitch: Tensor,
    actions: Tensor,
) -> tuple[Tensor | None, Tensor]:
    """Latents (B,N,C) of the last frame `pixels` (B,3,H,W) for the next one, and its pitch (B,).

    `pitch` (B,) is the view of the last frame, `actions` (B,A) produce the next one. The kind
    "both" gives (B,N,2C), turned then plain; "none" gives no latents.
    """
    if fov_y is None:
        if kind in ("warp", "both"):
            raise ValueError(
                f"recycle={kind!r} needs an action codec with a camera; "
                "train with --set model.recycle=plain"
            )
        return (None if kind == "none" else tokenizer.encode(pixels)), pitch
    dpitch, dyaw, after = turn(pitch, actions)
    if kind == "none":
        return None, after
    if kind == "plain":
        return tokenizer.encode(pixels), after
    turned = tokenizer.encode(warp(pixels, dpitch, dyaw, pitch, fov_y))
    if kind == "both":
        return torch.cat([turned, tokenizer.encode(pixels)], dim=-1), after
    return turned, after
