"""Stage: the atlas, filmed from the part of every training clip that lies before its first edit."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.data import Source
from nfd_gym.memory import like_faces, open_sides, small_things
from nfd_gym.memory.atlas import Atlas, Faces
from nfd_gym.memory.filming import Filming
from nfd_gym.memory.open_sides import Air
from nfd_gym.memory.witness import Witness
from nfd_gym.progress import Progress
from nfd_gym.train.views import DEPTH_ONE

BOUNDS = ((-110, -16, -110), (110, 64, 110))  # cells
WITNESSES = 3  # of so many filmed frames one says what it looks through


def film(
    source: Source, fov_y: float, every: int, clips: int | None = None
) -> tuple[Faces, np.ndarray]:
    """Faces and sky filmed from every `every`-th frame of (the first) clips, away from what was
    edited, less blocks that other frames look through."""
    filming, air = Filming(*BOUNDS, fov_y), Air(*BOUNDS, fov_y)
    looks: list[tuple[NDArray[np.uint16], NDArray[np.float32], NDArray[np.int64]]] = []
    chosen = range(len(source.names))[:clips]
    with Progress(len(chosen), "clips filmed") as bar:
        for index in chosen:
            bar.add()
            clip = source.read(index)
            assert clip.depth is not None and clip.pose is not None
            edits = [event for event in clip.events if event.pos is not None]
            edits.sort(key=lambda event: event.frame)
            filming.forget_changes()
            edited: list[tuple[int, int, int]] = []
            for number, t in enumerate(range(index % every, len(clip), every)):
                while edits and edits[0].frame <= t:
                    x, y, z = (round(value) for value in edits.pop(0).pos or ())
                    filming.change((x, y, z))
                    edited.append((x, y, z))
                near = clip.depth[t].astype(np.float32) / DEPTH_ONE
                filming.add(clip.frames[t], near, clip.pose[t])
                if number % WITNESSES == 0:
                    cells = np.array(edited, np.int64).reshape(-1, 3)
                    looks.append((clip.depth[t].copy(), clip.pose[t].copy(), cells))
                    air.add(near, clip.pose[t], cells)
    faces = filming.faces()
    for turn in range(2):  # what stood behind a phantom shows only after it has gone
        witness = Witness(Atlas(faces), fov_y)
        for depth, pose, cells in looks[turn::2]:
            witness.add(depth.astype(np.float32) / DEPTH_ONE, pose, cells)
        faces = witness.kept(faces)
    return whole(faces, air), filming.sky()


def whole(faces: Faces, air: Air) -> Faces:
    """The same faces, completed from those like them, and sides with air before them."""
    place, facing, colour = small_things.completed(
        faces.loose, faces.loose_facing, faces.loose_colour
    )
    faces = like_faces.completed(faces)._replace(
        loose=place, loose_facing=facing, loose_colour=colour
    )
    return open_sides.completed(faces, air)


def save(faces: Faces, sky: np.ndarray, path: Path) -> None:
    np.savez_compressed(path, sky=sky, **faces._asdict())


def load(path: Path) -> tuple[Atlas, torch.Tensor]:
    with np.load(path, allow_pickle=False) as arrays:
        faces = Faces(**{name: arrays[name] for name in Faces._fields})
        return Atlas(faces), torch.from_numpy(arrays["sky"])
