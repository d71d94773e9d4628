"""Recordings in, a playable world out: every stage of a recipe at micro size, in seconds.

    python examples/03_train_tiny.py

The film is a room whose walls are painted blocks. `nfd-gym record --env Luanti-v0` films the
island; `--recipe island` trains the world that ships on it.
"""

import json
from pathlib import Path

import gymnasium as gym
import numpy as np

import nfd_gym  # noqa: F401  registers NFD-v0
from nfd_gym.actions import KeysAndMouse
from nfd_gym.cli import main
from nfd_gym.data import Clip
from nfd_gym.data.reproject import focal_length, view_axes
from nfd_gym.data.store import ClipWriter

WALLS, SIZE, TICKS = np.array([[-5.5, -0.5, -5.5], [5.5, 4.5, 5.5]]), (32, 48), 16  # k + 0.5


def picture(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour uint8 (H,W,3) and inverse depth uint16 (H,W), 16384 = 1 per metre."""
    row, column = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] + 0.5
    row, column = row - SIZE[0] / 2, column - SIZE[1] / 2
    forward, right, up = view_axes(*pose[3:])
    ray = forward + (column[..., None] * right - row[..., None] * up) / focal_length(SIZE[0], 72.0)
    reach = np.where(ray > 0, WALLS[1] - pose[:3], WALLS[0] - pose[:3]) / ray
    depth = reach.min(-1)
    block = np.round(pose[:3] + 0.999 * depth[..., None] * ray).astype(int)
    colour = 60 + 40 * (block % 5)
    return colour.astype(np.uint8), (16384 / depth).clip(0, 65535).astype(np.uint16)


codec = KeysAndMouse()
writer = ClipWriter("footage", codec, fps=20.0, size=SIZE, depth=True)
for number in range(4):
    turns = np.random.default_rng(number).integers(-8, 9, TICKS)  # degrees to the right a tick
    turns[0] = 0
    poses = np.array([[0.3, 1.6, 0.2, 90.0 * number + yaw, 5.0] for yaw in np.cumsum(turns)])
    frames, depth = (np.stack(part) for part in zip(*map(picture, poses), strict=True))
    actions = np.stack([codec.vector(yaw=float(turn)) for turn in turns])
    name = f"turn-{number}"
    if name not in writer:
        writer.write(Clip(frames, actions, depth=depth, pose=poses.astype(np.float32), name=name))

command = ["train", "--recipe", "micro", "--data", "footage", "--out", "run", "--workers", "1"]
assert main(command) == 0
LOG = Path("run/denoiser/log.jsonl")
losses = [json.loads(line)["loss"] for line in LOG.read_text().splitlines()]
print(f"denoiser loss {losses[0]:.3f} -> {losses[-1]:.3f}")
assert np.mean(losses[-3:]) < losses[0]

env = gym.make("NFD-v0", world="run/world")
frame, info = env.reset(seed=0)
assert frame.shape == (*SIZE, 3) and (env.step(env.action_space.sample())[0] != frame).any()
env.close()
