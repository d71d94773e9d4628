"""Reprojection: do depth, pose and picture agree? Frame t, unprojected and seen from frame t+1.

A pose is (x, y, z of the eye, yaw, pitch) in metres and degrees: forward = (-sin yaw cos pitch,
-sin pitch, cos yaw cos pitch). Depth is planar and inverse, 16384 = 1 per metre, 0 = sky; the
middle of the pixel in row i and column j is (i + 0.5, j + 0.5).
"""

import numpy as np
from numpy.typing import NDArray

from nfd_gym.data.clip import Depth, Floats, Frames

METRE = 16384  # the stored value of one metre
SKY_M = 1e5  # how far away the sky is drawn: farther than a step can shift it by a pixel

Array = NDArray[np.float64]


def focal_length(height: int, fov_y: float) -> float:
    """Pixels: half the height over the tangent of half the vertical field of view."""
    return float(height / 2 / np.tan(np.radians(fov_y) / 2))


def view_axes(yaw: float, pitch: float) -> tuple[Array, Array, Array]:
    """Unit vectors (3,) of the camera: forward, right, up."""
    yaw, pitch = np.radians(yaw), np.radians(pitch)
    sin_y, cos_y, sin_p, cos_p = np.sin(yaw), np.cos(yaw), np.sin(pitch), np.cos(pitch)
    forward = np.array([-sin_y * cos_p, -sin_p, cos_y * cos_p])
    return (
        forward,
        np.array([-cos_y, 0.0, -sin_y]),
        np.array([-sin_y * sin_p, cos_p, cos_y * sin_p]),
    )


def unproject(depth: Depth, pose: Floats, fov_y: float) -> Array:
    """Places (H, W, 3) in metres of what every pixel shows."""
    height, width = depth.shape
    focal = focal_length(height, fov_y)
    row, column = np.mgrid[0:height, 0:width] + 0.5
    forward, right, up = view_axes(float(pose[3]), float(pose[4]))
    across, along = (column - width / 2) / focal, (row - height / 2) / focal
    rays = forward + across[..., None] * right - along[..., None] * up
    metres = np.where(depth > 0, METRE / np.maximum(depth, 1).astype(np.float64), SKY_M)
    places: Array = np.asarray(pose[:3], np.float64) + metres[..., None] * rays
    return places


def project(
    places: Array, pose: Floats, size: tuple[int, int], fov_y: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], Array]:
    """(row, column, planar depth) of places (..., 3); row -1 where one is outside the picture."""
    height, width = size
    focal = focal_length(height, fov_y)
    away = places - np.asarray(pose[:3], np.float64)
    forward, right, up = (away @ axis for axis in view_axes(float(pose[3]), float(pose[4])))
    ahead = forward > 1e-3
    safe = np.where(ahead, forward, 1.0)
    column = np.floor(focal * right / safe + width / 2).astype(np.int64)
    row = np.floor(-focal * up / safe + height / 2).astype(np.int64)
    seen = ahead & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return np.where(seen, row, -1), column, forward


def splat(
    frame: Frames, depth: Depth, pose: Floats, to: Floats, fov_y: float
) -> tuple[Frames, NDArray[np.bool_]]:
    """A frame (H, W, 3) seen from another pose, nearest pixel and nearest depth: (frame, covered).

    What moved farther into a hole than its neighbours is not filled: compare on `covered` only.
    """
    size = depth.shape
    row, column, away = project(unproject(depth, pose, fov_y), to, size, fov_y)
    seen = row >= 0
    order = np.argsort(-away[seen], kind="stable")  # the nearest is written last
    row, column = row[seen][order], column[seen][order]
    picture, covered = np.zeros_like(frame), np.zeros(size, np.bool_)
    picture[row, column] = frame[seen][order]
    covered[row, column] = True
    return picture, covered


def agreement(frames: Frames, depth: Depth, pose: Floats, fov_y: float, stride: int = 1) -> Floats:
    """PSNR in dB of every `stride`-th frame splatted into its successor; NaN: nothing covered."""
    found = []
    for index in range(0, len(frames) - 1, stride):
        picture, covered = splat(frames[index], depth[index], pose[index], pose[index + 1], fov_y)
        if not covered.any():
            found.append(np.nan)
            continue
        error = picture[covered].astype(np.float64) - frames[index + 1][covered]
        found.append(10 * np.log10(255**2 / max(float(np.mean(error**2)), 1e-3)))
    return np.array(found, np.float32)
