"""Drift of sequences whose drift is known."""

import numpy as np
import pytest

from nfd_gym.eval.drift import latent_curves, picture_curves, ratios, windows
from nfd_gym.world import World


def fading(rate: float, frames: int = 20) -> np.ndarray:
    """A striped picture whose contrast about mid-grey shrinks by `rate` per frame."""
    stripes = np.where(np.arange(48) % 2, 80.0, -80.0)
    scale = (1 - rate) ** np.arange(frames)
    video = 128 + scale[:, None, None, None] * stripes[None, None, :, None]
    return np.broadcast_to(np.rint(video), (frames, 32, 48, 3)).astype(np.uint8)[None]


def test_a_fading_picture_loses_edges_but_not_brightness() -> None:
    real, dream = fading(0.0), fading(0.05)
    over = ratios(picture_curves(dream), picture_curves(real))
    expected = 0.95 ** np.arange(20)
    np.testing.assert_allclose(over["edge_energy"], expected, atol=0.02)
    np.testing.assert_allclose(over["contrast"], expected, atol=0.02)
    np.testing.assert_allclose(over["brightness"], 1, atol=0.01)


def test_a_colour_shift_shows_in_its_channel_only() -> None:
    real = fading(0.0)
    dream = real.copy()
    dream[..., 0] += 20
    over = ratios(picture_curves(dream), picture_curves(real))
    assert over["red"].mean() == pytest.approx(148 / 128, abs=0.02)
    assert over["green"].mean() == pytest.approx(1, abs=0.01)
    assert over["edge_energy"].mean() == pytest.approx(1, abs=0.01)


def test_flicker_counts_change_between_frames() -> None:
    video = fading(0.0)
    video[0, 1::2] += 6
    assert np.nanmean(picture_curves(video)["flicker"]) == pytest.approx(6, abs=0.01)


def test_latent_spread_falls_with_contrast(tiny_world: World) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.normal(0, 40, (3, 1, 32, 48, 3))
    video = np.concatenate([128 + pictures * scale for scale in (1.0, 0.5, 0.1)], axis=1)
    spread = latent_curves(tiny_world.tokenizer, video.astype(np.uint8))["latent_std"]
    assert spread[0] > 1.5 * spread[1] > 1.5 * spread[2]


def test_windows_average_stretches() -> None:
    table = windows(np.arange(1, 101, dtype=float))
    assert table == {"1-16": 8.5, "17-64": 40.5, "65-100": 82.5}
