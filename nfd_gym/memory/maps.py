"""What a memory of points knows, to look at: a point cloud and a map seen from above."""

import torch
from torch import Tensor

from nfd_gym.memory.atlas import Atlas, cell_key, owner_cell
from nfd_gym.memory.surfels import ANY, Surfels

UP = 3  # facing of surfaces that one can stand on
PIXELS = 128  # along a map's edge
SPAN = 32.0  # metres along a map's edge
LEVEL = 2  # of the atlas: 4x4 surfels a face, a map's pixel
HERE = (255, 40, 40)  # colour of the eye's place and heading


def point_cloud(atlas: Atlas, painted: Surfels, dug: Tensor) -> Surfels:
    """Filmed surfels less those of dug cells (E,3), and the painted ones of one environment."""
    filmed = atlas.levels[LEVEL].surfels
    if len(dug):
        gone = torch.isin(cell_key(owner_cell(filmed.position, filmed.facing)), cell_key(dug))
        filmed = Surfels(*(field[~gone] for field in filmed))
    used = painted.size > 0
    parts = (filmed, atlas.loose, Surfels(*(field[used] for field in painted)))
    return Surfels(*(torch.cat(fields) for fields in zip(*parts, strict=True)))


def draw_map(points: Surfels, pose: Tensor) -> Tensor:
    """uint8 (128,128,3): 32 m around the eye of a pose (5,) from above, black where unknown.

    +z is up and +x to the left, so that yaw grows clockwise. The highest surface wins.
    """
    flat = (points.facing == UP) | (points.facing == ANY)
    position, colour = points.position[flat], points.colour[flat]
    scale = PIXELS / SPAN
    column = torch.floor(PIXELS / 2 - (position[:, 0] - pose[0]) * scale).long()
    row = torch.floor(PIXELS / 2 - (position[:, 2] - pose[2]) * scale).long()
    inside = (column >= 0) & (column < PIXELS) & (row >= 0) & (row < PIXELS)
    order = position[inside, 1].argsort(stable=True)
    pixel = (row[inside] * PIXELS + column[inside])[order]
    rank = torch.arange(len(pixel), device=pixel.device)
    best = pixel.new_full((PIXELS * PIXELS,), -1).scatter_reduce(0, pixel, rank, "amax")
    picture = colour.new_zeros(PIXELS * PIXELS, 3)
    known = best >= 0
    picture[known] = colour[inside][order][best[known]]
    picture = picture.view(PIXELS, PIXELS, 3)
    yaw = torch.deg2rad(pose[3])
    for ahead in range(8):  # pixels
        y = int(PIXELS / 2 - ahead * torch.cos(yaw))
        x = int(PIXELS / 2 + ahead * torch.sin(yaw))
        picture[y, x] = picture.new_tensor(HERE)
    return picture
