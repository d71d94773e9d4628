"""Motion judges on pictures whose motion is known: shifts, and warps by the model's own
homography."""

import numpy as np
import pytest

from nfd_gym.eval.baselines import warp_frames
from nfd_gym.eval.expansion import METRES, SCALES, best, ground_scores, scale_scores
from nfd_gym.eval.metrics import blur, gaussian_taps, luma
from nfd_gym.eval.registration import (
    focal_length,
    peak,
    phase_correlation,
    pitch_between,
    sample,
    yaw_between,
)

FOV_Y = 72.0
HEIGHT, WIDTH = 112, 192


def scene(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A smooth random picture (H, W), so that bilinear resampling hardly hurts it."""
    noise = np.random.default_rng(seed).normal(size=(height + 10, width + 10)).astype(np.float32)
    smooth = blur(noise, gaussian_taps())
    return np.asarray(128 + 60 * smooth / smooth.std(), np.float32)


def coloured(picture: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(picture, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, -7), (-5, 11), (9, 2)])
def test_phase_correlation_finds_a_shift(down: int, right: int) -> None:
    world = scene(0, 140, 220)
    before = world[20:120, 20:200]
    after = world[20 - down : 120 - down, 20 - right : 200 - right]
    found = peak(phase_correlation(before, after), (15, 15))
    assert found[:2] == pytest.approx((down, right), abs=0.05)


def test_phase_correlation_finds_a_fraction_of_a_pixel() -> None:
    world = scene(1, 140, 220)
    y, x = np.mgrid[20:120, 20:200].astype(np.float32)
    found = peak(phase_correlation(sample(world, x, y), sample(world, x - 2.4, y)), (5, 5))
    assert found[:2] == pytest.approx((0, 2.4), abs=0.15)


@pytest.mark.parametrize("pitch", [0.0, 25.0, -40.0])
@pytest.mark.parametrize("turn", [-6.0, -1.0, 0.0, 4.05])
def test_yaw_is_measured_in_degrees(turn: float, pitch: float) -> None:
    """The judge (angles + correlation) and the model's warp (homography) agree."""
    before = coloured(scene(2))
    after = warp_frames(before[None], np.zeros(1), np.array([turn]), np.array([pitch]), FOV_Y)[0]
    assert yaw_between(before, after, pitch, FOV_Y) == pytest.approx(turn, abs=0.25)
    assert abs(pitch_between(before, before, FOV_Y)) < 1e-6


@pytest.mark.parametrize("pitch", [0.0, 30.0])
@pytest.mark.parametrize("turn", [-3.0, 1.95])
def test_pitch_is_measured_in_degrees_without_knowing_the_view(turn: float, pitch: float) -> None:
    before = coloured(scene(3))
    after = warp_frames(before[None], np.array([turn]), np.zeros(1), np.array([pitch]), FOV_Y)[0]
    assert pitch_between(before, after, FOV_Y) == pytest.approx(turn, abs=0.15)


def test_a_still_overlay_does_not_hide_the_turn() -> None:
    """Crosshair and held item stand still; the windows leave them out."""
    before = coloured(scene(4))
    after = warp_frames(before[None], np.zeros(1), np.array([4.0]), np.zeros(1), FOV_Y)[0]
    for picture in (before, after):
        picture[50:62, 90:102] = 255
        picture[62:, 120:] = coloured(scene(5))[62:, 120:]
    assert yaw_between(before, after, 0.0, FOV_Y) == pytest.approx(4.0, abs=0.2)


@pytest.mark.parametrize("log_scale", [-0.09, 0.0, 0.06])
def test_expansion_about_the_horizon(log_scale: float) -> None:
    """A picture zoomed about the point where walking leads, with the view 10 degrees down."""
    picture, pitch = scene(6), 10.0
    horizon = (HEIGHT - 1) / 2 - focal_length(HEIGHT, FOV_Y) * np.tan(np.radians(pitch))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    centre, shrink = (WIDTH - 1) / 2, np.exp(-log_scale)
    after = sample(picture, centre + (x - centre) * shrink, horizon + (y - horizon) * shrink)
    assert best(SCALES, [scale_scores(picture, after, pitch, FOV_Y)]) == pytest.approx(
        log_scale, abs=0.008
    )


@pytest.mark.parametrize(("ahead", "right"), [(0.6, 0.0), (-0.45, 0.0), (0.0, 0.5)])
def test_metres_over_flat_ground(ahead: float, right: float) -> None:
    """Render a textured plane from two places; the judge gives the distance between them."""
    pitch, eye = 20.0, 1.47
    plane = scene(7, 900, 900)

    def view(forward: float, sideways: float) -> np.ndarray:
        focal, steep = focal_length(HEIGHT, FOV_Y), np.radians(pitch)
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        x, y = (x - (WIDTH - 1) / 2) / focal, (y - (HEIGHT - 1) / 2) / focal
        below = np.cos(steep) * y + np.sin(steep)
        reach = eye / np.maximum(below, 0.02)
        distance = reach * (np.cos(steep) - np.sin(steep) * y) + forward
        ground = sample(plane, 450 + 12 * (reach * x + sideways), 100 + 12 * distance)
        return np.where(below > 0.05, ground, 128).astype(np.float32)

    before, after = view(0, 0), view(ahead, right)
    sideways = right != 0
    found = best(METRES, [ground_scores(before, after, pitch, FOV_Y, sideways=sideways)])
    assert found == pytest.approx(right if sideways else ahead, abs=0.06)


def test_luma_of_grey_is_itself() -> None:
    np.testing.assert_allclose(luma(np.full((2, 3, 3), 77, np.uint8)), 77, rtol=1e-5)
