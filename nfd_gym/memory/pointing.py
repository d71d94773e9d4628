"""What the middle of a view shows: a face of a block, or squares that lie nearer."""

from collections.abc import Callable

import torch
from torch import Tensor

from nfd_gym.memory.atlas import NORMALS
from nfd_gym.memory.blocks import pointed_cell
from nfd_gym.memory.geometry import axes
from nfd_gym.memory.raycast import cast
from nfd_gym.memory.render import Scene, rows_of
from nfd_gym.memory.surfels import Surfels, draw

MIDDLE, MIDDLE_FOV = 4, 2.0  # pixels and degrees of the picture that tells what is pointed at
FARTHEST = 1000.0  # metres; what is farther is as far


def pointed_at(
    scene: Scene, squares: Callable[[float], Surfels], whole: int, pose: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Distance in metres, the block's cell (3,), the free cell before it (3,) and the colour (3,)
    0..1 in the middle of the view at a pose (5,); `squares` gives those up to so many metres away,
    `whole` is where the textures of one texel begin."""
    eye, forward, _, _ = axes(pose)
    hits = cast(scene.space, scene.atlas.low, eye, forward[None])
    distance = hits.depth[0].clamp_max(FARTHEST)
    _, height, length = scene.atlas.shape
    x, rest = divmod(max(int(hits.cell[0]), 0), height * length)
    inner = torch.tensor([x, *divmod(rest, length)]).to(scene.atlas.low) + scene.atlas.low
    outer = inner + torch.from_numpy(NORMALS[int(hits.facing[0])]).to(inner)
    row = int(rows_of(scene, hits)[0]) if bool(hits.cell[0] >= 0) else -1
    colour = scene.textures[whole + row].float() if row >= 0 else torch.zeros(3)
    near_by = squares(float(distance))
    if len(near_by.size):
        drawn = draw(near_by, pose, MIDDLE, MIDDLE, MIDDLE_FOV)
        near = (1.0 / drawn.depth)[1:3, 1:3]
        if float(near.min()) * float(distance) > 1.0:
            away, cells, before = pointed_cell(near[None], pose[None])
            return away[0], cells[0], before[0], drawn.colour[1:3, 1:3].mean((0, 1)) / 255.0
    return distance, inner, outer, colour / 255.0
