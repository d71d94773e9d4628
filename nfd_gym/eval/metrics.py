"""Picture metrics as pure numpy functions. Frames: uint8 or float in 0..255, (..., H, W, 3).

PSNR of a set of frames is always the mean of per-frame PSNRs, each capped at `PSNR_CAP`: a copied
frame is often *exactly* right while the player stands still, and infinity has no mean.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from nfd_gym.errors import UsageError

Array = npt.NDArray[Any]

PSNR_CAP = 60.0
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601, as the footage is tagged


def luma(frames: npt.NDArray[np.generic]) -> Array:
    """Brightness (..., H, W) in 0..255."""
    return np.asarray(np.asarray(frames, np.float32) @ LUMA)


def psnr(frames: npt.NDArray[np.generic], real: npt.NDArray[np.generic]) -> Array:
    """PSNR in dB per frame, shape (...)."""
    if frames.shape != real.shape:
        raise UsageError(f"psnr compares equal shapes, got {frames.shape} and {real.shape}.")
    error = np.asarray(frames, np.float32) - np.asarray(real, np.float32)
    mse = np.square(error).mean(axis=(-3, -2, -1), dtype=np.float64)
    floor = 255.0**2 / 10 ** (PSNR_CAP / 10)
    return np.asarray(10 * np.log10(255.0**2 / np.maximum(mse, floor)), np.float32)


def gaussian_taps(width: int = 11, sigma: float = 1.5) -> Array:
    """Normalised Gaussian filter taps."""
    offsets = np.arange(width) - (width - 1) / 2
    taps = np.exp(-0.5 * np.square(offsets / sigma))
    return np.asarray(taps / taps.sum(), np.float32)


def blur(images: Array, taps: Array) -> Array:
    """Separable filter over the last two axes, valid region only."""
    reach = len(taps) - 1
    height, width = images.shape[-2] - reach, images.shape[-1] - reach
    if min(height, width) < 1:
        raise UsageError(f"A {len(taps)} tap filter needs larger images than {images.shape[-2:]}.")
    rows = sum(tap * images[..., i : i + height, :] for i, tap in enumerate(taps))
    return np.asarray(sum(tap * rows[..., i : i + width] for i, tap in enumerate(taps)), np.float32)


def ssim(frames: npt.NDArray[np.generic], real: npt.NDArray[np.generic]) -> Array:
    """SSIM per frame on luma (Wang et al. 2004: 11x11 Gaussian of 1.5 px, K = 0.01 and 0.03)."""
    if frames.shape != real.shape:
        raise UsageError(f"ssim compares equal shapes, got {frames.shape} and {real.shape}.")
    # Scaled to 0..1: at 0..255 the variances below lose their last digits in float32.
    ours, theirs = luma(frames) / 255, luma(real) / 255
    taps = gaussian_taps()
    mean_a, mean_b = blur(ours, taps), blur(theirs, taps)
    var_a = blur(ours * ours, taps) - mean_a**2
    var_b = blur(theirs * theirs, taps) - mean_b**2
    cov = blur(ours * theirs, taps) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    score = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    score /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return np.asarray(score.mean(axis=(-2, -1)), np.float32)


def edge_energy(frames: npt.NDArray[np.generic]) -> Array:
    """Mean absolute difference to the right and lower neighbour over all colours, for every frame
    of (..., H, W, 3): 0 for a flat picture. The first thing a blurring rollout loses."""
    colours = frames.astype(np.float32)
    across = np.abs(np.diff(colours, axis=-2)).mean(axis=(-3, -2, -1))
    down = np.abs(np.diff(colours, axis=-3)).mean(axis=(-3, -2, -1))
    return np.asarray((across + down) / 2, np.float32)


def flicker(frames: npt.NDArray[np.generic]) -> Array:
    """Mean absolute change between neighbouring frames (T, H, W, 3) -> (T - 1,)."""
    grey = luma(frames)
    return np.asarray(np.abs(np.diff(grey, axis=0)).mean(axis=(-2, -1)), np.float32)
