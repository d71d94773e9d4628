"""A world of the ray-cast block room: a real memory of points and a body that walks and digs.

Its denoiser is random, so that a frame depends on every input; its legs and hands are set by hand.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.data import open_source
from nfd_gym.data.clip import Clip, Event
from nfd_gym.data.store import ClipWriter
from nfd_gym.memory.points import PointMemory, pointed_cell
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.eye import EyeBody
from nfd_gym.train.recipes.micro import MICRO
from nfd_gym.train.stages import atlas, tokenizer
from nfd_gym.train.stages.world import assemble, export
from nfd_gym.world import World
from tests.data.box_room import room_frame
from tests.memory.room import SHIFT

SIZE = (MICRO.tokenizer.height, MICRO.tokenizer.width)
FILM_SMOOTH = 2  # rays a pixel side
TURNS = (-6.0, -3.0, 0.0, 3.0, 6.0)  # degrees a tick


def walk(seed: int, count: int = 24) -> Clip:
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


def write_store(folder: Path, clips: int = 6) -> Path:
    """A store of walks with depth and poses."""
    codec = KeysAndMouse(camera=Camera(72.0))
    writer = ClipWriter(folder, codec, fps=20.0, size=SIZE, depth=True)
    for seed in range(clips):
        writer.write(walk(seed))
    return folder


@torch.no_grad()
def walking_body() -> EyeBody:
    """0.2 m a tick along the nearest axis while forward is held; attack digs, use places."""
    body = EyeBody(replace(MICRO.body, hidden=8))
    for weight in body.parameters():
        weight.zero_()
    first, _, second, _, last = body.legs
    first.weight[0, 0] = 20.0
    second.weight[0, 0] = 1.0
    last.weight[2, 0] = 1 / 20
    hands, _, event = body.hands
    hands.weight[0, 0] = hands.weight[1, 1] = 20.0
    event.weight[1, 0] = event.weight[2, 1] = 1.0
    event.bias[0] = 1.0
    return body.eval().requires_grad_(False)


def make_room_world(store: Path, folder: Path) -> World:
    """The world folder, with start clips cut from the store."""
    from tests.conftest import redraw_zeros

    source, random = open_source(store), torch.Generator().manual_seed(0)
    code = tokenizer.fit(source, MICRO.tokenizer, 48)
    faces, sky = atlas.film(source, MICRO.fov_y, 1)
    memory = PointMemory(*SIZE, MICRO.fov_y, atlas.Atlas(faces), torch.from_numpy(sky), 4096, 16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Denoiser(MICRO.denoiser)
    redraw_zeros(net, 0.3, random)
    world = assemble(
        "room-test", source, code, net, memory, walking_body(), MICRO.settings, {"trained": "never"}
    )
    return export(world, source, folder, 5)
