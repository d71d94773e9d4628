"""PSNR, SSIM and edge energy against closed forms."""

import numpy as np
import pytest

from nfd_gym.eval.metrics import PSNR_CAP, blur, edge_energy, flicker, gaussian_taps, psnr, ssim


def texture(seed: int, shape: tuple[int, ...] = (40, 48, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_psnr_of_a_constant_offset() -> None:
    real = np.full((5, 16, 20, 3), 100, np.uint8)
    shown = real + np.array([1, 2, 5, 10, 50], np.uint8)[:, None, None, None]
    expected = 20 * np.log10(255 / np.array([1, 2, 5, 10, 50]))
    np.testing.assert_allclose(psnr(shown, real), expected, rtol=1e-5)


def test_psnr_does_not_wrap_around_uint8() -> None:
    """255 - 0 is 255, not -1: the first version of many a PSNR."""
    black, white = np.zeros((1, 8, 8, 3), np.uint8), np.full((1, 8, 8, 3), 255, np.uint8)
    assert psnr(black, white)[0] == pytest.approx(0.0, abs=1e-5)


def test_psnr_of_equal_frames_is_the_cap() -> None:
    assert psnr(texture(0), texture(0)) == pytest.approx(PSNR_CAP)


def test_psnr_refuses_broadcasting() -> None:
    with pytest.raises(ValueError, match="equal shapes"):
        psnr(texture(0), texture(0, (2, 40, 48, 3)))


def test_ssim_of_equal_frames_is_one() -> None:
    assert ssim(texture(1), texture(1)) == pytest.approx(1.0, abs=1e-5)


def test_ssim_of_flat_pictures_is_the_brightness_term() -> None:
    """Without variance only (2ab + c1) / (a2 + b2 + c1) is left."""
    a, b, c1 = 100 / 255, 150 / 255, 0.01**2
    shown = ssim(np.full((30, 30, 3), 100, np.uint8), np.full((30, 30, 3), 150, np.uint8))
    assert shown == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1), abs=1e-4)


def test_ssim_of_the_negative_is_negative() -> None:
    """Contrast turned around about mid-grey: the structure term is -1."""
    real = texture(2)
    assert ssim(255 - real, real) < -0.9


def test_ssim_falls_with_noise() -> None:
    rng = np.random.default_rng(3)
    real = texture(3).astype(np.float32)
    scores = [ssim(real + rng.normal(0, s, real.shape), real) for s in (5, 20, 60)]
    assert scores[0] > scores[1] > scores[2] > 0


def test_blur_keeps_flat_images_and_is_separable() -> None:
    taps = gaussian_taps()
    assert taps.sum() == pytest.approx(1)
    np.testing.assert_allclose(blur(np.full((20, 20), 7, np.float32), taps), 7, rtol=1e-5)
    dot = np.zeros((21, 21), np.float32)
    dot[10, 10] = 1
    np.testing.assert_allclose(blur(dot, taps), np.outer(taps, taps), atol=1e-7)


def test_edge_energy_of_stripes() -> None:
    """Columns 0 and 10 alternating: every horizontal step is 10, every vertical one 0."""
    stripes = np.zeros((12, 14, 3), np.uint8)
    stripes[:, ::2] = 10
    assert edge_energy(stripes) == pytest.approx(5.0, rel=1e-5)
    assert edge_energy(np.stack([stripes, stripes])).shape == (2,)
    coloured = stripes * np.array([1, 0, 0], np.uint8)  # the edge of one colour counts a third
    assert edge_energy(coloured) == pytest.approx(5.0 / 3, rel=1e-5)
    assert edge_energy(np.full((12, 14, 3), 9, np.uint8)) == pytest.approx(0.0, abs=1e-5)


def test_flicker_of_a_brightening_sequence() -> None:
    video = np.stack([np.full((6, 6, 3), 3 * t, np.uint8) for t in range(5)])
    np.testing.assert_allclose(flicker(video), 3, rtol=1e-5)
