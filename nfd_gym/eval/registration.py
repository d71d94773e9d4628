"""Camera motion measured in a picture pair, without any trained judge.

A rotation moves a perspective picture by a homography, not by a shift. So the picture is first
resampled to angles, where the rotation *is* a shift, and the shift is found by phase correlation:
the answer comes out in degrees. Crosshair and held item stand still on the screen and would vote
for "no motion"; the angular windows leave them out.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from nfd_gym.eval.metrics import Array, luma

STEP = 0.6  # degrees per sample of the angular pictures: about one pixel at 192 wide, 72 degrees


def phase_correlation(before: Array, after: Array, softness: float = 0.25) -> Array:
    """Correlation surface of two equally large images (H, W): its peak is the shift
    before -> after, zero shift at [0, 0], negative shifts wrap around.

    softness: width of a Gaussian low pass as a share of the sampling rate. Whitening gives every
    frequency the same vote, and the highest are mostly compression noise.
    """
    if before.shape != after.shape:
        raise ValueError(f"phase_correlation needs equal shapes, got {before.shape}, {after.shape}")
    window = np.outer(np.hanning(before.shape[0] + 2)[1:-1], np.hanning(before.shape[1] + 2)[1:-1])
    spectra = [np.fft.rfft2((image - image.mean()) * window) for image in (before, after)]
    cross = np.conj(spectra[0]) * spectra[1]
    cross /= np.abs(cross) + 1e-9
    rows = np.fft.fftfreq(before.shape[0])[:, None]
    columns = np.fft.rfftfreq(before.shape[1])[None]
    cross *= np.exp(-0.5 * (rows**2 + columns**2) / softness**2)
    return np.asarray(np.fft.irfft2(cross, s=before.shape), np.float32)


def peak(surface: Array, most: tuple[int, int]) -> tuple[float, float, float]:
    """(row shift, column shift, height in standard deviations) of the largest value within `most`
    samples of no shift, refined to a fraction of a sample."""
    rows = np.arange(-most[0], most[0] + 1)
    columns = np.arange(-most[1], most[1] + 1)
    near = surface[np.ix_(rows % surface.shape[0], columns % surface.shape[1])]
    row, column = np.unravel_index(int(near.argmax()), near.shape)
    height = float(near[row, column] - np.median(surface)) / (float(surface.std()) + 1e-9)

    def refine(line: Array, index: int) -> float:
        """Vertex of the parabola through the peak and its neighbours."""
        low, mid, high = (float(line[(index + k) % len(line)]) for k in (-1, 0, 1))
        bend = low - 2 * mid + high
        return 0.0 if bend >= 0 else float(np.clip(0.5 * (low - high) / bend, -0.5, 0.5))

    i, j = int(rows[row]), int(columns[column])
    return (
        i + refine(surface[:, j % surface.shape[1]], i),
        j + refine(surface[i % surface.shape[0]], j),
        height,
    )


def sample(image: Array, x: Array, y: Array) -> Array:
    """Bilinear look-up of a picture (H, W) at pixel coordinates; outside repeats the border."""
    height, width = image.shape
    x = np.clip(x, 0, width - 1.001)
    y = np.clip(y, 0, height - 1.001)
    left, top = x.astype(np.int32), y.astype(np.int32)
    u, v = (x - left).astype(np.float32), (y - top).astype(np.float32)
    upper = image[top, left] * (1 - u) + image[top, left + 1] * u
    lower = image[top + 1, left] * (1 - u) + image[top + 1, left + 1] * u
    return np.asarray(upper * (1 - v) + lower * v, np.float32)


def focal_length(height: int, fov_y: float) -> float:
    """Focal length in pixels of a picture `height` pixels high."""
    return 0.5 * height / float(np.tan(np.radians(fov_y) / 2))


@dataclass(frozen=True)
class Window:
    """A rectangle of angles in degrees from the view's centre: x to the right, y down."""

    left: float
    right: float
    top: float
    bottom: float

    def grid(self) -> tuple[Array, Array]:
        x = np.arange(self.left, self.right, STEP).astype(np.float32)
        y = np.arange(self.top, self.bottom, STEP).astype(np.float32)
        across, down = np.meshgrid(x, y)
        return across, down


# Above the crosshair over the whole width, and below it left of the held item.
YAW_WINDOWS = (Window(-44, 44, -32, -4), Window(-44, 10, 5, 33))
# Left and right of the crosshair; the right one ends above the held item.
PITCH_WINDOWS = (Window(-40, -5, -33, 33), Window(5, 40, -33, 5))


@lru_cache(maxsize=256)
def yaw_map(
    window: Window, height: int, width: int, fov_y: float, pitch: float
) -> tuple[Array, Array]:
    """Pixel coordinates of a grid of world azimuth x elevation for a view pitched by `pitch`.
    Angles count from the view's centre; yaw shifts the azimuth and nothing else."""
    focal = focal_length(height, fov_y)
    azimuth, below = (np.radians(a) for a in window.grid())
    steep = np.radians(pitch)
    down = below + steep
    ray = np.stack([np.cos(down) * np.sin(azimuth), np.sin(down), np.cos(down) * np.cos(azimuth)])
    y = np.cos(steep) * ray[1] - np.sin(steep) * ray[2]
    z = np.maximum(np.sin(steep) * ray[1] + np.cos(steep) * ray[2], 0.05)
    return (
        (width - 1) / 2 + focal * ray[0] / z,
        (height - 1) / 2 + focal * y / z,
    )


@lru_cache(maxsize=16)
def pitch_map(window: Window, height: int, width: int, fov_y: float) -> tuple[Array, Array]:
    """Pixel coordinates of a grid of angles about the camera's own horizontal axis: pitch shifts
    the rows and nothing else, whatever the pitch is."""
    focal = focal_length(height, fov_y)
    side, down = (np.radians(a) for a in window.grid())
    ray = (np.sin(side), np.cos(side) * np.sin(down), np.cos(side) * np.cos(down))
    return (
        (width - 1) / 2 + focal * ray[0] / ray[2],
        (height - 1) / 2 + focal * ray[1] / ray[2],
    )


def yaw_between(
    before: npt.NDArray[np.generic],
    after: npt.NDArray[np.generic],
    pitch: float,
    fov_y: float,
    most: float = 12.0,
) -> float:
    """Degrees the camera turned to the right between two frames (H, W, 3)."""
    return _rotation(before, after, 1, round(pitch), fov_y, most)


def pitch_between(
    before: npt.NDArray[np.generic],
    after: npt.NDArray[np.generic],
    fov_y: float,
    most: float = 12.0,
) -> float:
    """Degrees the camera turned down between two frames (H, W, 3)."""
    return _rotation(before, after, 0, 0.0, fov_y, most)


def _rotation(
    before: npt.NDArray[np.generic],
    after: npt.NDArray[np.generic],
    axis: int,
    pitch: float,
    fov_y: float,
    most: float,
) -> float:
    """The vote of the window with the clearer peak: one of them may look at empty sky."""
    pictures = [luma(frame) for frame in (before, after)]
    height, width = pictures[0].shape
    reach, side = int(most / STEP), int(3 / STEP)
    votes = []
    for window in YAW_WINDOWS if axis == 1 else PITCH_WINDOWS:
        x, y = (
            yaw_map(window, height, width, fov_y, pitch)
            if axis == 1
            else pitch_map(window, height, width, fov_y)
        )
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        views = [sample(picture, x, y) for picture in pictures]
        # Beyond the picture's border there is nothing to see, and a repeated border would say
        # "still".
        views = [np.where(inside, view, view[inside].mean()) for view in views]
        surface = phase_correlation(views[0], views[1])
        votes.append(peak(surface, (side, reach) if axis == 1 else (reach, side)))
    best = max(votes, key=lambda vote: vote[2])
    # The scene moves against the camera.
    return -best[axis] * STEP
