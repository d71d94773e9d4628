"""The crosshair comes off and goes on again; the networks never meet it."""

import dataclasses

import torch

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.model.crosshair import uncrossed, with_cross, without_cross
from nfd_gym.model.denoiser import FIELD, MOVED
from nfd_gym.model.pixels import to_float, to_uint8
from nfd_gym.world import WorldModel


def pictures() -> torch.Tensor:
    return torch.rand((2, 3, 32, 48), generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_off_undoes_on() -> None:
    ground = pictures()
    marked = with_cross(ground, 5)
    torch.testing.assert_close(without_cross(marked, 5), ground, atol=1e-5, rtol=0)
    rounded = to_float(to_uint8(marked))  # half a grey level, and it hides 70 % at most
    assert (without_cross(rounded, 5) - ground).abs().max() < 0.5 / 127.5 / 0.3 + 1e-4


def test_bytes_come_off_as_floats_do() -> None:
    random = torch.Generator().manual_seed(0)
    for shape in ((2, 32, 48, 3), (2, 3, 33, 49, 3), (1, 8, 11, 3)):  # the last has no room
        frames = torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)
        before = frames.clone()
        for arm in (0, 1, 5):
            bare = to_uint8(without_cross(to_float(frames), arm)).movedim(-1, -3)
            assert torch.equal(uncrossed(frames, arm), bare) and torch.equal(frames, before)


def test_it_is_white_and_small() -> None:
    ground = pictures()
    marked = with_cross(ground, 5)
    changed = (marked != ground).any(1)
    assert changed.sum() == len(ground) * 21  # two lines of 11 pixels that share one
    assert (marked >= ground).all() and changed[:, 16, 24].all()
    assert torch.equal(with_cross(ground, 0), ground) and torch.equal(
        without_cross(ground, 0), ground
    )


def test_a_world_shows_what_it_sees_with_a_crosshair(tiny_world: WorldModel) -> None:
    world = tiny_world
    without = dataclasses.replace(world, codec=KeysAndMouse(camera=Camera(72.0)))
    latents = torch.randn((2, world.tokenizer.config.tokens, world.tokenizer.config.channels))
    canvas = world.canvas(to_uint8(pictures()))
    heard = {FIELD: torch.zeros(2, 3, 32, 48), MOVED: latents}
    told = canvas, canvas[:, :3], torch.zeros(2), torch.zeros(2, world.codec.width), latents, heard
    frames, bare = world.show(*told)[0], without.show(*told)[0]
    assert (frames != bare).any() and torch.equal(frames[:, :5], bare[:, :5])
    near = (world.see(frames) - to_float(bare)).abs()
    assert near.mean() < 0.01 and near.max() < 0.03
