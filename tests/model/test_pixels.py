"""Bytes to floats and back lose nothing."""

import torch

from nfd_gym.model.pixels import to_float, to_uint8


def test_every_byte_survives() -> None:
    frames = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 16, 16, 3)
    pixels = to_float(frames)
    assert pixels.shape == (1, 3, 16, 16) and pixels.min() == -1 and pixels.max() == 1
    assert torch.equal(to_uint8(pixels), frames)


def test_rounds_and_stays_in_range() -> None:
    step = 2 / 255
    pixels = torch.tensor([-3.0, -1 + 0.4 * step, -1 + 0.6 * step, 1.2]).expand(3, 1, 4)
    assert to_uint8(pixels)[0, :, 0].tolist() == [0, 0, 1, 255]
