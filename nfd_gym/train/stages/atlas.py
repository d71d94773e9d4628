"""Stage: the atlas, filmed from the part of every training clip that lies before its first edit."""

from pathlib import Path

import numpy as np
import torch

from nfd_gym.data import Source
from nfd_gym.memory.atlas import Atlas, Faces
from nfd_gym.memory.filming import Filming
from nfd_gym.train.views import DEPTH_ONE

BOUNDS = ((-180, -16, -180), (180, 64, 180))  # cells


def film(
    source: Source, fov_y: float, every: int, clips: int | None = None
) -> tuple[Faces, np.ndarray]:
    """Faces and sky filmed from every `every`-th frame of (the first) clips."""
    filming = Filming(*BOUNDS, fov_y)
    for index in range(len(source.names))[:clips]:
        clip = source.read(index)
        assert clip.depth is not None and clip.pose is not None
        stop = min((event.frame for event in clip.events), default=len(clip))
        for t in range(0, stop, every):
            near = clip.depth[t].astype(np.float32) / DEPTH_ONE
            filming.add(clip.frames[t], near, clip.pose[t])
    return filming.faces(), filming.sky()


def save(faces: Faces, sky: np.ndarray, path: Path) -> None:
    np.savez_compressed(path, sky=sky, **faces._asdict())


def load(path: Path) -> tuple[Atlas, torch.Tensor]:
    with np.load(path, allow_pickle=False) as arrays:
        faces = Faces(**{name: arrays[name] for name in Faces._fields})
        return Atlas(faces), torch.from_numpy(arrays["sky"])
