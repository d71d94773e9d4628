"""The last frame as an input of the next one: plain, as seen after the commanded rotation, both
(the hand does not turn with the world), or both with the commanded step."""

import math

import torch
from torch import Tensor

from nfd_gym.actions import Camera
from nfd_gym.keyboard import KEY_INDEX, LOG_SCALE, PITCH
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.model.warp import warp

PITCH_LIMIT = 89.5  # degrees; games stop there
PACE = 0.133  # eye heights walked per tick: 3.9 m/s at 1.47 m in Luanti, 4.3 at 1.62 in Minecraft
VIEW = 3  # channels of `view`
KINDS = {"none": 0, "plain": 1, "warp": 1, "both": 2, "walk": 2}  # pictures that come in again
TURNING = ("warp", "both", "walk")  # kinds that need to know the camera


def turn(pitch: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(dpitch, dyaw, new pitch) in degrees that `actions` (..., A) command from `pitch` (...).

    The action vector ends in pitch and yaw on the log scale of `keyboard.py`.
    """
    camera = actions[..., PITCH : PITCH + 2].float()
    degrees = camera.sign() * torch.expm1(camera.abs() * LOG_SCALE)
    after = (pitch + degrees[..., 0]).clamp(-PITCH_LIMIT, PITCH_LIMIT)
    return after - pitch, degrees[..., 1], after


def view(pitch: Tensor, actions: Tensor) -> Tensor:
    """(..., VIEW): the commanded step right and ahead in eye heights, and the pitch in radians."""

    def held(plus: str, minus: str) -> Tensor:
        return actions[..., KEY_INDEX[plus]] - actions[..., KEY_INDEX[minus]]

    right, ahead = held("right", "left"), held("forward", "back")
    length = torch.sqrt(right.square() + ahead.square()).clamp_min(1.0)  # two keys: no faster
    step = torch.stack([right, ahead], dim=-1) * (PACE / length)[..., None]
    return torch.cat([step, (pitch * (math.pi / 180))[..., None]], dim=-1)


def recycle(
    tokenizer: Tokenizer,
    kind: str,
    camera: Camera | None,
    pixels: Tensor,
    pitch: Tensor,
    actions: Tensor,
    around: Tensor | None = None,
) -> tuple[Tensor | None, Tensor]:
    """Latents (B,N,C) of the last frame `pixels` (B,3,H,W) for the next one, and its pitch (B,).
    Its crosshair must be off.

    `pitch` (B,) is the view of the last frame, `actions` (B,A) produce the next one; `around`
    (B,3,H,W) is what a memory has of its view, if anything remembers. The kind
    "both" gives (B,N,2C), turned then plain; "walk" adds the VIEW channels of `view` to each token;
    "none" gives no latents.
    """
    if camera is None:
        if kind in TURNING:
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
    alone = around is None
    picture = warp(pixels, dpitch, dyaw, pitch, camera.fov_y, round_the_world=alone, around=around)
    turned = tokenizer.encode(picture)
    if kind == "warp":
        return turned, after
    given = [turned, tokenizer.encode(pixels)]
    if kind == "walk":
        given.append(view(after, actions).to(turned)[:, None].expand(-1, turned.shape[1], -1))
    return torch.cat(given, dim=-1), after
