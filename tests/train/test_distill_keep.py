"""What a free run can know: what it has seen, for a while, and what does not leave the screen."""

import math

import pytest
import torch

from nfd_gym.actions import Camera
from nfd_gym.keyboard import LOG_SCALE, YAW
from nfd_gym.model.warp import warp
from nfd_gym.train.denoiser_step import Window
from nfd_gym.train.distill_keep import known, on_screen, roughness

CAMERA, PATCH, STEPS = Camera(72.0), 8, 5


def window(yaw: float, hand: bool = False) -> Window:
    """A world (1,T+1,3,32,48) that turns `yaw` degrees a frame, as its actions say."""
    world = torch.rand((1, 3, 8, 12), generator=torch.Generator().manual_seed(0)) * 2 - 1
    frames = [torch.nn.functional.interpolate(world, scale_factor=4)]
    zero = torch.zeros(1)
    for _ in range(STEPS):
        frames.append(warp(frames[-1], zero, torch.tensor([yaw]), zero, CAMERA.fov_y))
    pixels = torch.stack(frames, 1)
    if hand:
        fingers = torch.arange(48) % 6 < 3
        pixels[..., 20:, 34:] = torch.where(fingers, 1.0, -1.0)[34:]
    actions = torch.zeros(1, STEPS, 25)
    actions[..., YAW] = math.copysign(math.log1p(abs(yaw)) / LOG_SCALE, yaw)
    return Window(pixels, torch.zeros(1, STEPS + 1, 24, 4), actions, torch.zeros(1, STEPS + 1))


def test_standing_forgets_with_time_alone() -> None:
    share = known(window(0.0), CAMERA, 0.9, PATCH)
    assert share.shape == (1, STEPS, 24)
    torch.testing.assert_close(
        share, (0.9 ** torch.arange(1, STEPS + 1))[None, :, None].expand_as(share)
    )


def test_what_turns_into_view_is_not_known() -> None:
    share = known(window(12.0), CAMERA, 1.0, PATCH).view(STEPS, 4, 6)
    assert share[0, :, 0].min() == 1 and share[0, :, -1].max() < 0.3
    assert (share[1:] <= share[:-1] + 1e-4).all() and share[-1].mean() < 0.4
    mirrored = known(window(-12.0), CAMERA, 1.0, PATCH).view(STEPS, 4, 6)
    torch.testing.assert_close(mirrored, share.flip(-1), atol=1e-3, rtol=0)


def test_the_hand_is_always_known() -> None:
    turning = window(12.0, hand=True)
    assert on_screen(turning, CAMERA)[0, 0, 24:, 38:].all()
    assert not on_screen(turning, CAMERA)[0, 0, :12].any()
    share = known(turning, CAMERA, 0.5, PATCH).view(STEPS, 4, 6)
    assert (share[:, 3, 5] == 1).all() and share[-1, 0].max() < 0.1


def test_what_moves_as_one_is_not_rough() -> None:
    whole = torch.ones(1, 3, 8, 8)
    assert roughness(whole) == 0
    torn = whole.clone()
    torn[:, :, :, 4:] = 3.0
    assert roughness(torn) == pytest.approx(2 / 7)
    assert roughness(whole + 0.1 * torch.randn(1, 3, 8, 8)) > 0.1
