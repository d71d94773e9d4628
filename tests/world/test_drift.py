"""The drift meter tells ordinary latents from grey, noisy and shifted ones."""

import torch

from nfd_gym.world.drift import FEWEST, Drift


def test_real_frames_read_one_and_ruined_ones_more() -> None:
    random = torch.Generator().manual_seed(0)
    # Real frames differ in how much each channel varies.
    scale = torch.rand(200, 1, 8, generator=random) + 0.5
    frames = torch.randn(200, 40, 8, generator=random) * scale
    meter = Drift.of(frames[:100])
    assert meter is not None
    ordinary = meter(frames[100:]).mean()
    assert 0.8 < ordinary < 1.2
    for ruined in (frames[100:] * 0.1, frames[100:] * 4, frames[100:] + 2.0):
        assert meter(ruined).mean() > 3 * ordinary


def test_lanes_are_read_alone_and_few_frames_are_not_enough() -> None:
    frames = torch.randn(FEWEST, 20, 4, generator=torch.Generator().manual_seed(1))
    meter = Drift.of(frames)
    assert meter is not None
    torch.testing.assert_close(meter(frames)[3:4], meter(frames[3:4]))
    assert Drift.of(frames[:-1]) is None
