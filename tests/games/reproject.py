"""The law of depth and pose: a frame unprojected and splatted into the next pose is that frame."""

import numpy as np

from nfd_gym.games.luanti.spec import DEPTH_ONE, focal

Pose = tuple[float, float, float, float, float]


def axes(pose: Pose) -> np.ndarray:
    """Right, down and forward of a camera in the world, as rows (3, 3)."""
    yaw, pitch = np.radians(pose[3:])
    forward = np.array([-np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    right = np.array([-np.cos(yaw), 0.0, -np.sin(yaw)])
    return np.stack([right, np.cross(forward, right), forward])


def splat(frame: np.ndarray, depth: np.ndarray, pose: Pose, target: Pose) -> np.ndarray:
    """(H, W) index of the source pixel that is seen at each target pixel, -1 where none is."""
    height, width = depth.shape
    f = focal(height)
    v, u = np.nonzero(depth)
    z = DEPTH_ONE / depth[v, u]
    rays = np.stack([(u + 0.5 - width / 2) / f, (v + 0.5 - height / 2) / f, np.ones_like(z)], 1)
    world = (rays * z[:, None]) @ axes(pose) + pose[:3]
    seen = (world - target[:3]) @ axes(target).T
    front = seen[:, 2] > 0.1
    seen, v, u = seen[front], v[front], u[front]
    tu = np.floor(f * seen[:, 0] / seen[:, 2] + width / 2).astype(int)
    tv = np.floor(f * seen[:, 1] / seen[:, 2] + height / 2).astype(int)
    inside = (tu >= 0) & (tu < width) & (tv >= 0) & (tv < height)
    order = np.argsort(-seen[inside, 2], kind="stable")  # the nearest is written last
    found = np.full((height, width), -1)
    found[tv[inside][order], tu[inside][order]] = (v * width + u)[inside][order]
    return found


def psnr(
    frame: np.ndarray, depth: np.ndarray, pose: Pose, after: np.ndarray, target: Pose
) -> float:
    """dB of the splatted frame on the pixels that it covers."""
    found = splat(frame, depth, pose, target)
    covered = found >= 0
    drawn = frame.reshape(-1, 3)[found[covered]].astype(float)
    error = np.mean((drawn - after[covered].astype(float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-3)))
