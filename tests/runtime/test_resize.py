"""Smaller pictures are area averages, whichever way they are taken."""

import pytest
import torch
import torch.nn.functional as F

from nfd_gym.runtime.resize import resize


@pytest.mark.parametrize("size", [(72, 36), (48, 24), (144, 18), (9, 72), (100, 50), (9, 4)])
def test_blocks_are_summed_as_areas_are_averaged(size: tuple[int, int]) -> None:
    width, height = size
    frames = torch.randint(0, 256, (3, 2, 72, 144, 3), dtype=torch.uint8)
    frames[0] = 255  # the largest sums
    pixels = frames.flatten(0, 1).movedim(-1, 1).float()
    small = F.interpolate(pixels, (height, width), mode="area").movedim(1, -1)
    wanted = small.round().to(torch.uint8).unflatten(0, (3, 2))
    made = resize(frames, size)
    assert made.shape == wanted.shape and made.is_contiguous()
    assert (made.int() - wanted.int()).abs().max() <= (0 if width in (72, 48, 144) else 1)
