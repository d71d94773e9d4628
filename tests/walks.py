"""Walks through the ray-cast block room, as recordings to train on."""

from pathlib import Path

import numpy as np
import torch

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.data.clip import Clip, Event
from nfd_gym.data.store import ClipWriter
from nfd_gym.memory.blocks import pointed_cell
from nfd_gym.train.recipes.micro import MICRO
from tests.data.box_room import room_frame
from tests.memory.room import SHIFT

SIZE = (MICRO.tokenizer.height, MICRO.tokenizer.width)
FILM_SMOOTH = 2  # rays a pixel side
TURNS = (-6.0, -3.0, 0.0, 3.0, 6.0)  # degrees a tick


def walk(seed: int, count: int = 16) -> Clip:
    """A clip of walking and looking about in the room, in the lattice's coordinates; attack digs
    the block in the middle of the picture at three quarters of it."""
    rng, codec = np.random.default_rng(seed), KeysAndMouse(camera=Camera(72.0))
    pose = np.array([*rng.uniform(-3, 3, 1), 1.6, *rng.uniform(-3, 3, 1), 45.0 * seed, 10.0])
    frames, depths, poses, actions = [], [], [], [codec.vector()]
    for tick in range(count):
        frame, depth = room_frame(pose, SIZE, FILM_SMOOTH)
        frames.append(frame)
        depths.append(depth)
        poses.append(pose + SHIFT)
        yaw, down = float(rng.choice(TURNS)), float(rng.choice((-1.0, 0.0, 1.0)))
        keys = ("forward", "attack") if tick == 3 * count // 4 else ("forward",)
        actions.append(codec.vector(keys, pitch=down, yaw=yaw))
        pose = pose + np.array([0, 0, 0, yaw, down])
        ahead = np.radians(pose[3])
        step = 0.2 * np.array([-np.sin(ahead), np.cos(ahead)])
        pose[[0, 2]] = np.clip(pose[[0, 2]] + step, -4.5, 4.5)
    dug = 3 * count // 4 + 1
    near = torch.from_numpy(depths[dug - 1].astype(np.float32) / 16384)[None]
    _, cell, _ = pointed_cell(near, torch.tensor(poses[dug - 1], dtype=torch.float32)[None])
    return Clip(
        frames=np.stack(frames),
        actions=np.stack(actions[:count]),
        depth=np.stack(depths),
        pose=np.stack(poses).astype(np.float32),
        events=(Event(dug, "dig", "island:grass", tuple(map(float, cell[0].tolist()))),),
        name=f"walk-{seed}",
    )


def write_store(folder: Path, clips: int = 5) -> Path:
    """A store of walks with depth and poses."""
    codec = KeysAndMouse(camera=Camera(72.0))
    writer = ClipWriter(folder, codec, fps=20.0, size=SIZE, depth=True)
    for seed in range(clips):
        writer.write(walk(seed))
    return folder
