"""What a memory of points knows, for people: a map from above, and a point cloud file."""

import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.memory.surfels import Surfels

UNKNOWN = (24, 26, 32)  # colour of a map where nothing is known
UP = 3  # facing of squares that are seen from above


def map_from_above(
    surfels: Surfels, eye: NDArray[np.float32], metres: float = 48.0, pixels: int = 96
) -> NDArray[np.uint8]:
    """A square map (pixels,pixels,3) around an eye (5,), north (+z) up, x to the left as it is to
    the right of +z. Of what lies above each other the highest shows; heights are shaded."""
    used = (surfels.size > 0) & (surfels.facing == UP)
    x, y, z = surfels.position[used].numpy().T
    scale = pixels / metres
    column = np.floor((-(x - eye[0])) * scale + pixels / 2).astype(int)
    row = np.floor((-(z - eye[2])) * scale + pixels / 2).astype(int)
    inside = (column >= 0) & (column < pixels) & (row >= 0) & (row < pixels)
    order = np.argsort(y[inside], kind="stable")
    picture = np.full((pixels, pixels, 3), UNKNOWN, np.uint8)
    shade = np.clip(0.75 + 0.25 * (y[inside] / 12.0), 0.6, 1.15)[order, None]
    colour = surfels.colour[used].numpy()[inside][order] * shade
    picture[row[inside][order], column[inside][order]] = colour.clip(0, 255).astype(np.uint8)
    return picture


def ply(surfels: Surfels) -> bytes:
    """A point cloud file (binary little-endian PLY) of position, colour and size."""
    used = surfels.size > 0
    rows = np.zeros(
        int(used.sum()),
        [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"),
         ("size", "<f4")],
    )  # fmt: skip
    for name, axis in (("x", 0), ("y", 1), ("z", 2)):
        rows[name] = surfels.position[used, axis].numpy()
    for name, channel in (("red", 0), ("green", 1), ("blue", 2)):
        rows[name] = surfels.colour[used, channel].numpy()
    rows["size"] = surfels.size[used].numpy()
    kinds = {"<f4": "float", "|u1": "uchar"}
    fields = "".join(
        f"property {kinds[rows.dtype[name].str]} {name}\n" for name in rows.dtype.names or ()
    )
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(rows)}\n{fields}end_header\n"
    return head.encode() + rows.tobytes()


def joined(parts: list[Surfels]) -> Surfels:
    """Surfels of several sets as one."""
    return Surfels(*(torch.cat(fields) for fields in zip(*parts, strict=True)))
