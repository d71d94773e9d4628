"""A synthetic room of blocks, ray cast: pictures, depth and poses that agree by construction."""

import numpy as np

from nfd_gym.actions import KeysAndMouse
from nfd_gym.data.clip import Clip
from nfd_gym.data.reproject import focal_length, view_axes

LOW, HIGH = np.array([-6.0, 0.0, -6.0]), np.array([6.0, 4.0, 6.0])
TONES = np.array([[104, 162, 68], [150, 118, 80], [128, 128, 132], [214, 200, 150], [70, 120, 170]])
FOV = 72.0


def ray_cast(pose, size, fov_y=FOV):
    """(colour (H, W, 3) float, planar depth (H, W)) of the room seen from one pose."""
    height, width = size
    focal = focal_length(height, fov_y)
    row, column = np.mgrid[0:height, 0:width] + 0.5
    forward, right, up = view_axes(*pose[3:])
    across, along = (column - width / 2) / focal, (row - height / 2) / focal
    ray = forward + across[..., None] * right - along[..., None] * up
    with np.errstate(divide="ignore"):
        reach = np.where(ray > 0, HIGH - pose[:3], LOW - pose[:3]) / ray
    axis, depth = reach.argmin(-1), reach.min(-1)
    place = pose[:3] + depth[..., None] * ray
    block = np.floor(place - 1e-4 * np.sign(ray)).astype(int)
    tone = (block @ [2971, 3307, 1597] + 101 * axis) % len(TONES)
    inside = place - np.floor(place)
    other = [np.take_along_axis(inside, ((axis + n) % 3)[..., None], -1)[..., 0] for n in (1, 2)]
    rim = np.any([(part < 1 / 8) | (part > 7 / 8) for part in other], axis=0)
    light = np.array([0.8, 1.0, 0.9])[axis] * np.where(rim, 0.8, 1.0)
    return TONES[tone] * light[..., None], depth


def room_frame(pose, size, smooth=4):
    """uint8 (H, W, 3), averaged over smooth x smooth rays, and uint16 (H, W) inverse depth."""
    height, width = size
    colour, _ = ray_cast(pose, (smooth * height, smooth * width))
    colour = colour.reshape(height, smooth, width, smooth, 3).mean((1, 3))
    _, depth = ray_cast(pose, size)
    return colour.round().astype(np.uint8), (16384 / depth).round().clip(0, 65535).astype(np.uint16)


def room_clip(count=12, seed=0, size=(56, 96), name="room", **changes):
    """A walk through the room."""
    rng = np.random.default_rng(seed)
    poses = np.zeros((count, 5), np.float32)
    pose = np.array([0.0, 1.6, 0.0, 20.0, 10.0])
    for index in range(count):
        poses[index] = pose
        pose[3] += rng.normal(1.5, 3)
        pose[4] = np.clip(pose[4] + rng.normal(), -40, 40)
        yaw = np.radians(pose[3])
        pose[[0, 2]] = np.clip(pose[[0, 2]] + 0.2 * np.array([-np.sin(yaw), np.cos(yaw)]), -4, 4)
    frames, depth = zip(*(room_frame(pose.astype(np.float64), size) for pose in poses), strict=True)
    actions = np.stack([KeysAndMouse().vector()] * count)
    return Clip(
        **{
            "frames": np.stack(frames),
            "actions": actions,
            "depth": np.stack(depth),
            "pose": poses,
            "name": name,
            **changes,
        }
    )
