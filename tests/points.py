"""A small world with the shipped kinds of memory and body: points of the ray-cast room, an eye."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.data.clip import Clip
from nfd_gym.data.store import ClipWriter
from nfd_gym.memory.atlas import Atlas
from nfd_gym.memory.filming import Filming
from nfd_gym.memory.points import PointMemory
from nfd_gym.model.eye import EyeBody
from nfd_gym.presets import PRESETS
from nfd_gym.train.recipes.island import BODY
from nfd_gym.world import World, save_world
from tests.data.box_room import FOV, room_frame
from tests.memory.room import SHIFT, pose_at

SIZE = (32, 48)
CODEC = KeysAndMouse(camera=Camera(FOV))


def room_walk(seed: int, frames: int = 8) -> Clip:
    """A turn in the room, with depth and poses."""
    poses = [pose_at(1.5 - seed, 0.5 + 0.1 * i, 40 * seed + 5 * i, 8) for i in range(frames)]
    seen = [room_frame(pose - SHIFT, SIZE) for pose in poses]
    actions = np.stack([CODEC.vector(["forward"], 0.0, 5.0 if i else 0.0) for i in range(frames)])
    return Clip(
        np.stack([frame for frame, _ in seen]),
        actions,
        depth=np.stack([depth for _, depth in seen]),
        pose=np.stack(poses).astype(np.float32),
        name=f"walk-{seed}",
    )


def room_memory() -> PointMemory:
    """The room as a turn on one place shows it."""
    filming = Filming((-16, -8, -16), (16, 16, 16), FOV)
    for yaw in range(0, 360, 45):
        pose = pose_at(0.0, 0.0, yaw, 5.0)
        frame, depth = room_frame(pose - SHIFT, SIZE)
        filming.add(frame, depth.astype(np.float32) / 16384, pose.astype(np.float32))
    sky = torch.from_numpy(filming.sky())
    return PointMemory(*SIZE, FOV, Atlas(filming.faces()), sky, painted=2048)


@torch.no_grad()
def walking_body() -> EyeBody:
    """0.2 m a tick along the nearest axis while forward is held; attack digs, use places."""
    body = EyeBody(replace(BODY, hidden=8))
    for weight in body.parameters():
        weight.zero_()
    first, _, second, _, last = body.legs
    first.weight[0, 0] = 20.0
    second.weight[0, 0] = 1.0
    last.weight[2, 0] = 1 / 20
    *hidden, event = [layer for layer in body.hands if isinstance(layer, nn.Linear)]
    for layer in hidden:  # one unit of each hears whether attack is held, one whether use is
        layer.weight[0, 0] = layer.weight[1, 1] = 20.0
    event.weight[1, 0] = event.weight[2, 1] = 1.0
    event.bias[0] = 1.0
    return body.eval().requires_grad_(False)


def save_points_world(folder: Path, make_nets: object) -> None:
    """Write the world with three start clips; `make_nets` is conftest's."""
    torch.manual_seed(0)
    body = walking_body()
    width = {"control_width": CODEC.width + body.width}
    nets = make_nets(  # type: ignore[operator]
        replace(PRESETS["micro"].tokenizer, depth_channels=4),
        {"channels": 12, "masks": 3, "rays": True, "fov_y": FOV, **width},
    )
    clips = [room_walk(seed) for seed in range(3)]
    splits = {"train": [clip.name for clip in clips]}
    world = World(
        name="points-test", codec=CODEC, memory=room_memory(), body=body, splits=splits, **nets
    )
    save_world(world, folder)
    writer = ClipWriter(folder / "starts", CODEC, fps=20.0, size=SIZE, depth=True)
    for clip in clips:
        writer.write(clip)
