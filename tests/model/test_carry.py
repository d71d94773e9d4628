"""What the code lost goes along with the picture, and ends under paint."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from nfd_gym.actions import Camera
from nfd_gym.model.carry import detail, listen
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.recycle import turn
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.model.warp import warp
from nfd_gym.world import WorldModel

CAMERA = Camera(72.0)


def carried(net: Tokenizer, last: Tensor, latents: Tensor, field: Tensor, **turn: Any) -> Tensor:
    pitch, actions = torch.zeros(len(last)), turn.get("actions", torch.zeros(len(last), 25))
    more = detail(net, "warp", CAMERA, last, pitch, actions, latents, field)
    return net.decode_unclamped(latents) + more


def picture() -> Tensor:
    return torch.rand((2, 3, 32, 48), generator=torch.Generator().manual_seed(0)) - 0.5


def linear(world: WorldModel) -> Tokenizer:
    """A code without nets loses the same however often it is used."""
    net = Tokenizer(replace(world.tokenizer.config, hidden=0))
    net.load_state_dict(world.tokenizer.state_dict(), strict=False)
    return net.eval().requires_grad_(False)


def test_a_picture_that_only_moves_is_kept_whole(tiny_world: WorldModel) -> None:
    net, last = linear(tiny_world), picture()
    still = torch.zeros(2, 3, 32, 48)
    same = carried(net, last, net.encode(last), still)
    torch.testing.assert_close(same, last, atol=1e-4, rtol=0)
    assert (net.decode(net.encode(last)) - last).abs().max() > 0.1
    actions = torch.zeros(2, 25)
    actions[:, -1] = 1.0  # the yaw
    dpitch, dyaw, _ = turn(torch.zeros(2), actions)
    turned = warp(last, dpitch, dyaw, torch.zeros(2), CAMERA.fov_y, round_the_world=True)
    now = carried(net, last, net.encode(turned), still, actions=actions)
    torch.testing.assert_close(now, turned, atol=1e-3, rtol=0)
    still[:, 2] = 1.0  # said not to have turned
    stood = carried(net, last, net.encode(last), still, actions=actions)
    torch.testing.assert_close(stood, last, atol=1e-3, rtol=0)


def test_paint_covers_what_was_there(tiny_world: WorldModel) -> None:
    net, last = linear(tiny_world), picture()
    other = net.encode(-last.flip(-1) + 0.5)
    field = torch.zeros(2, 3, 32, 48)
    more = detail(net, "plain", None, last, torch.zeros(2), torch.zeros(2, 25), other, field)
    lost = last - net.decode_unclamped(net.encode(last))
    assert more.norm() < 0.1 * lost.norm()


def test_the_net_tells_the_field_of_each_evaluation(tiny_world: WorldModel) -> None:
    net, config = tiny_world.denoiser, tiny_world.denoiser.config
    denoiser, fields = listen(net)
    frames = torch.randn(2, 3, config.tokens, config.channels)
    given = torch.randn(2, 3, config.tokens, config.given)
    told = torch.ones(2, 3), torch.zeros(2, 3, 25), given
    assert torch.equal(denoiser(frames, *told), net(frames, *told))
    denoiser(frames[:1], *(part[:1] for part in told))
    assert [tuple(field.shape) for field in fields] == [(6, 3, 32, 48), (3, 3, 32, 48)]


def test_carrying_needs_motion(tiny_world: WorldModel) -> None:
    with pytest.raises(ValueError, match="motion"):
        Denoiser(replace(tiny_world.denoiser.config, motion=0))
