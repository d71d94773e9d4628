"""What a free run can know: what it has seen, for a while, and what does not leave the screen."""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F

from nfd_gym.actions import Camera
from nfd_gym.keyboard import LOG_SCALE, YAW
from nfd_gym.model.hand import hand
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.model.warp import warp
from nfd_gym.train.denoiser_step import Window
from nfd_gym.train.distill_keep import colour_of_tokens, known, misplaced, on_screen, roughness
from nfd_gym.world import WorldModel

CAMERA, PATCH, STEPS = Camera(72.0), 8, 5


def window(yaw: float, fingers: bool = False) -> Window:
    """A world (1,T+1,3,32,48) that turns `yaw` degrees a frame, as its actions say."""
    world = torch.rand((1, 3, 8, 12), generator=torch.Generator().manual_seed(0)) * 2 - 1
    frames = [torch.nn.functional.interpolate(world, scale_factor=4)]
    zero = torch.zeros(1)
    for _ in range(STEPS):
        frames.append(warp(frames[-1], zero, torch.tensor([yaw]), zero, CAMERA.fov_y))
    pixels = torch.stack(frames, 1)
    if fingers:
        stripes = torch.arange(48) % 6 < 3
        pixels[..., 20:, 34:] = torch.where(stripes, 1.0, -1.0)[34:]
    actions = torch.zeros(1, STEPS, 25)
    actions[..., YAW] = math.copysign(math.log1p(abs(yaw)) / LOG_SCALE, yaw)
    return Window(pixels, torch.zeros(1, STEPS + 1, 24, 4), actions, torch.zeros(1, STEPS + 1))


def test_standing_forgets_with_time_alone() -> None:
    share, new = known(window(0.0), CAMERA, 0.9, PATCH)
    assert not new.any()
    assert share.shape == (1, STEPS, 24)
    torch.testing.assert_close(
        share, (0.9 ** torch.arange(1, STEPS + 1))[None, :, None].expand_as(share)
    )


def test_what_turns_into_view_is_not_known() -> None:
    share, new = (part.view(STEPS, 4, 6) for part in known(window(12.0), CAMERA, 1.0, PATCH))
    assert share[0, :, 0].min() == 1 and share[0, :, -1].max() < 0.3
    assert (share[1:] <= share[:-1] + 1e-4).all() and share[-1].mean() < 0.4
    assert new[..., -1].min() > 0.7 and new[..., :4].max() < 0.2
    mirrored = known(window(-12.0), CAMERA, 1.0, PATCH)[0].view(STEPS, 4, 6)
    torch.testing.assert_close(mirrored, share.flip(-1), atol=1e-3, rtol=0)


def test_the_hand_is_always_known() -> None:
    turning = window(12.0, fingers=True)
    assert on_screen(turning, CAMERA)[0, 0, 24:, 38:].all()
    assert not on_screen(turning, CAMERA)[0, 0, :12].any()
    share, new = (part.view(STEPS, 4, 6) for part in known(turning, CAMERA, 0.5, PATCH))
    assert new[:, 0, 5].min() > 0.7 and not new[:, 3, 5].any()
    assert (share[:, 3, 5] == 1).all() and share[-1, 0].max() < 0.1


def test_a_hand_should_stand_and_what_turns_beside_it_should_not() -> None:
    """In the hand's corner; elsewhere the share is nobody's concern."""
    turning, bare = window(12.0, fingers=True), window(12.0)
    zone = hand(32, 48)
    nothing, all_of_it = torch.zeros(1, STEPS, 32, 48), torch.ones(1, STEPS, 32, 48)
    assert misplaced(all_of_it * zone, turning, CAMERA) < 0.1 < misplaced(nothing, turning, CAMERA)
    assert misplaced(nothing, bare, CAMERA) == 0
    assert misplaced(all_of_it, bare, CAMERA) > 0.5
    outside = all_of_it * ~zone
    assert misplaced(outside, bare, CAMERA) == 0
    assert misplaced(all_of_it, window(0.0), CAMERA) == 0  # nobody can tell


def test_walking_is_not_rough_and_trembling_is() -> None:
    x, y = torch.linspace(-3, 3, 48).expand(32, 48), torch.linspace(-2, 2, 32)[:, None]
    ground = torch.stack([x * y, 0.02 * y**2 + 0 * x, 0 * x])[None]  # as flat ground slides
    assert roughness(ground) < 1e-3
    trembling = ground + 0.1 * torch.randn(1, 3, 32, 48)
    assert roughness(trembling) > 0.1
    standing = ground.clone()
    standing[:, 2, 16:, 24:] = 1.0
    assert roughness(standing) == roughness(ground)


def test_latents_tell_the_mean_colour_of_their_pixels(tiny_world: WorldModel) -> None:
    net = Tokenizer(replace(tiny_world.tokenizer.config, hidden=0))
    net.load_state_dict(tiny_world.tokenizer.state_dict(), strict=False)
    one, other = torch.randn(2, 1, net.config.tokens, net.config.channels)
    by_pixels = F.avg_pool2d(
        net.decode_unclamped(one) - net.decode_unclamped(other), net.config.patch
    )
    told = (one - other) @ colour_of_tokens(net).T
    torch.testing.assert_close(told.mT, by_pixels.flatten(2), atol=1e-4, rtol=1e-4)
