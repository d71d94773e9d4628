"""Stage: background and textures of a layer memory, by descent through its own renderer."""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from nfd_gym.memory.layers import LayerConfig, LayerMemory
from nfd_gym.model.pixels import to_float
from nfd_gym.progress import Progress

STILLS, STEPS, BATCH, RATE = 300, 300, 6, 0.05


def fit(folder: Path, shape: LayerConfig, seed: int = 0, count: int = STEPS) -> LayerMemory:
    """A memory fitted to the decoded frames in a folder (see `stages.frames.decode`)."""
    frames = np.load(folder / "frames.npy", mmap_mode="r", allow_pickle=False)
    poses = torch.from_numpy(np.load(folder / "poses.npy", allow_pickle=False))
    random = np.random.default_rng(seed)
    some = frames[np.sort(random.choice(len(frames), min(STILLS, len(frames)), replace=False))]
    memory = LayerMemory(shape)
    memory.background = to_float(torch.from_numpy(some)).median(0).values
    parts = [memory.background, *memory.textures]
    for part in parts:
        part.requires_grad_(True)
    optimiser = torch.optim.Adam(parts, RATE)
    with Progress(count, "steps") as bar:
        for number in range(count):
            rate = RATE * 0.5 * (1 + math.cos(math.pi * number / count))
            optimiser.param_groups[0]["lr"] = rate
            rows = np.sort(random.integers(len(frames), size=BATCH))
            target = to_float(torch.from_numpy(frames[rows]))
            optimiser.zero_grad()
            F.mse_loss(memory.render(poses[rows]), target).backward()
            optimiser.step()
            bar.add()
    for part in parts:
        part.requires_grad_(False)
    return memory
