"""What the last frame contributes, and where the view's pitch ends."""

import numpy as np
import pytest
import torch
from torch import Tensor

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.model.recycle import PITCH_LIMIT, VIEW, recycle, turn, view
from nfd_gym.model.warp import warp
from nfd_gym.world import WorldModel

CODEC = KeysAndMouse(camera=Camera(72.0))


def actions(*turns: tuple[float, float]) -> Tensor:
    return torch.from_numpy(np.stack([CODEC.vector(("forward",), *pair) for pair in turns]))


def pictures(count: int) -> Tensor:
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand((count, 3, 4, 6), generator=random) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (32, 48), mode="bicubic").clamp(-1, 1)


def test_the_turn_is_the_codecs() -> None:
    turns = [(3.0, -7.5), (0.0, 0.0), (-0.15, 180.0), (90.0, 0.15)]
    vectors = actions(*turns)
    dpitch, dyaw, after = turn(torch.zeros(4), vectors)
    expected_pitch, expected_yaw = CODEC.rotation(vectors.numpy())
    expected_pitch = expected_pitch.clip(-PITCH_LIMIT, PITCH_LIMIT)
    np.testing.assert_allclose(dpitch, expected_pitch, rtol=1e-5)
    np.testing.assert_allclose(dyaw, expected_yaw, rtol=1e-5)
    np.testing.assert_allclose(after, expected_pitch, rtol=1e-5)


def test_the_view_stops_at_straight_up_and_down() -> None:
    """And only the part of the turn that happens moves the picture."""
    pitch = torch.tensor([80.0, -89.0, 89.5])
    dpitch, _, after = turn(pitch, actions((30.0, 0.0), (-5.0, 0.0), (-10.0, 0.0)))
    expected = torch.tensor([PITCH_LIMIT, -PITCH_LIMIT, 79.5])
    torch.testing.assert_close(after, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(dpitch, expected - pitch, atol=1e-4, rtol=0)


def test_pitch_adds_up_over_a_long_rollout(tiny_world: WorldModel) -> None:
    last, pitch = pictures(1), torch.zeros(1)
    for _ in range(100):
        _, pitch = tiny_world.recycle(last, pitch, actions((0.3, 1.0)))
    torch.testing.assert_close(pitch, torch.tensor([30.0]), atol=1e-3, rtol=0)
    for _ in range(100):
        _, pitch = tiny_world.recycle(last, pitch, actions((5.0, 0.0)))
    assert pitch.item() == PITCH_LIMIT


def test_warped_is_the_encoded_warp(tiny_world: WorldModel) -> None:
    last, pitch = pictures(2), torch.tensor([10.0, -20.0])
    chosen = actions((2.0, 5.0), (-1.0, 0.0))
    latents, after = tiny_world.recycle(last, pitch, chosen)
    by = torch.tensor([2.0, -1.0]), torch.tensor([5.0, 0.0])
    moved = warp(last, *by, pitch, 72.0, round_the_world=True)
    assert latents is not None
    both = torch.cat([tiny_world.tokenizer.encode(picture) for picture in (moved, last)], dim=-1)
    torch.testing.assert_close(latents[..., :-VIEW], both, atol=1e-4, rtol=1e-4)
    assert torch.equal(latents[:, 3, -VIEW:], view(after, chosen))
    torch.testing.assert_close(after, torch.tensor([12.0, -21.0]), atol=1e-4, rtol=0)


def test_plain_and_none_keep_count_of_the_pitch(tiny_world: WorldModel) -> None:
    last, pitch, chosen = pictures(1), torch.tensor([10.0]), actions((2.0, 5.0))
    net = tiny_world.tokenizer
    plain, after = recycle(net, "plain", CODEC.camera, last, pitch, chosen)
    assert plain is not None and torch.equal(plain, net.encode(last))
    nothing, other = recycle(net, "none", CODEC.camera, last, pitch, chosen)
    assert nothing is None and torch.equal(after, other)
    torch.testing.assert_close(after, torch.tensor([12.0]))


def test_a_world_without_camera_cannot_warp(tiny_world: WorldModel) -> None:
    last, pitch, chosen = pictures(1), torch.zeros(1), torch.zeros(1, 2)
    net = tiny_world.tokenizer
    plain, after = recycle(net, "plain", None, last, pitch, chosen)
    assert plain is not None and torch.equal(plain, net.encode(last)) and torch.equal(after, pitch)
    with pytest.raises(ValueError, match=r"--set model\.recycle=plain"):
        recycle(net, "warp", None, last, pitch, chosen)
