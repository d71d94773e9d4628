"""Pictures of a scene of textured blocks under a sky, as a game draws them at twice the size and
averages down: four quarters a pixel, where outlines run through it also in depth."""

from typing import NamedTuple

import torch
from torch import Tensor

from nfd_gym.memory.atlas import Atlas
from nfd_gym.memory.compiled import picture
from nfd_gym.memory.geometry import axes, focal_length, pixel_rays
from nfd_gym.memory.raycast import JUMPS, Hits, cast
from nfd_gym.memory.sky import sky_cells
from nfd_gym.memory.texture import QUARTERS, sample_places, texel_index

BEFORE = 0.97  # share of the nearest depth around from which rays through an outline begin


class Scene(NamedTuple):
    """One environment's blocks."""

    atlas: Atlas
    space: Tensor  # (X,Y,Z) uint8, see raycast
    keys: Tensor  # (R,) long, sorted: 6 * cell + facing of faces that differ from the atlas's
    rows: Tensor  # (R,) long, their textures; -1: unknown
    textures: Tensor  # (T*341,3) uint8, see `mip_maps`
    finest: Tensor  # (T,) long, finest level of each texture that was filmed
    sky: Tensor  # (SH,SW,4) uint8


class Seen(NamedTuple):
    """A picture of a scene."""

    colour: Tensor  # (H,W,3) float32, 0..255
    depth: Tensor  # (H,W) planar metres, inf for the sky
    sharp: Tensor  # (H,W) 0 unknown, 1 known at the resolution of the picture


def render(scene: Scene, pose: Tensor, height: int, width: int, fov_y: float) -> Seen:
    """A scene from one pose (5,)."""
    if picture is None or pose.device.type != "cpu":
        return _render_batched(scene, pose, height, width, fov_y)
    eye, forward, right, up = axes(pose)
    pixel = 1 / focal_length(height, fov_y)
    seen = Seen(
        torch.empty(height, width, 3), torch.empty(height, width), torch.empty(height, width)
    )
    view = torch.stack([eye, forward, right * pixel, -up * pixel])
    tensors = (
        scene.space.contiguous(), eye - scene.atlas.low + 0.5, view, scene.atlas.slot, scene.keys,
        scene.rows, scene.textures, scene.finest, scene.sky.contiguous(), QUARTERS,
    )  # fmt: skip
    arrays = (tensor.numpy() for tensor in tensors)
    picture(*arrays, BEFORE, JUMPS, *(tensor.numpy() for tensor in seen))
    return seen


def _render_batched(scene: Scene, pose: Tensor, height: int, width: int, fov_y: float) -> Seen:
    """`render` in plain torch."""
    eye, _, right, up = axes(pose)
    rays = pixel_rays(pose[None], height, width, fov_y)[0].reshape(-1, 3)
    hits = cast(scene.space, scene.atlas.low, eye, rays)
    colour, sharp = _shade(scene, pose, rays, hits, height, fov_y, QUARTERS)
    depth = hits.depth.view(height, width)
    mixed = outlines(hits, depth).flatten().nonzero()[:, 0]
    if len(mixed):
        pixel = 1 / focal_length(height, fov_y)
        middle = rays.index_select(0, mixed)
        quarters = torch.cat([middle + (x * right - y * up) * pixel for x, y in QUARTERS.tolist()])
        begin = BEFORE * _nearest_around(depth).flatten().index_select(0, mixed)
        parts = cast(scene.space, scene.atlas.low, eye, quarters, begin.repeat(4))
        part, known = _shade(scene, pose, quarters, parts, height, fov_y, QUARTERS[:1] * 0)
        colour[mixed] = part.view(4, -1, 3).mean(0)
        sharp[mixed] = known.view(4, -1).sort(dim=0).values[1]
        depth.view(-1)[mixed] = parts.depth.view(4, -1).sort(dim=0).values[1]
    return Seen(colour.view(height, width, 3), depth, sharp.view(height, width))


def rows_of(scene: Scene, hits: Hits) -> Tensor:
    """Texture rows (N,) of the faces that were hit; -1: that side was never seen."""
    face = hits.cell.clamp_min(0) * 6 + hits.facing
    rows = scene.atlas.slot.index_select(0, face).long()
    if len(scene.keys):
        at = torch.searchsorted(scene.keys, face).clamp_max(len(scene.keys) - 1)
        changed = scene.keys.index_select(0, at) == face
        rows = torch.where(changed, scene.rows.index_select(0, at), rows)
    return rows


def outlines(hits: Hits, depth: Tensor) -> Tensor:
    """Pixels (H,W) next to one that shows another plane."""
    height, width = depth.shape
    shape = (height, width)
    facing = torch.where(hits.cell >= 0, hits.facing, 6).view(shape)
    near = (1.0 / depth).view(shape)
    edge = torch.zeros(shape, dtype=torch.bool, device=depth.device)
    for dim in (0, 1):
        size = shape[dim]
        a, b = (facing.narrow(dim, i, size - 1) for i in (0, 1))
        other = a != b
        # on one plane inverse depth is linear: a bend between two pixels of one facing is a jump
        bend = near.narrow(dim, 2, size - 2) - 2 * near.narrow(dim, 1, size - 2)
        bend = (bend + near.narrow(dim, 0, size - 2)).abs()
        jump = bend > 1e-4 + 0.01 * near.narrow(dim, 1, size - 2)
        edge.narrow(dim, 0, size - 1).logical_or_(other)
        edge.narrow(dim, 1, size - 1).logical_or_(other)
        edge.narrow(dim, 1, size - 2).logical_or_(jump)
    return edge


def _nearest_around(depth: Tensor) -> Tensor:
    """The least depth (H,W) of a pixel and the eight around it."""
    near = torch.nn.functional.max_pool2d((1.0 / depth)[None, None], 3, 1, 1)[0, 0]
    return 1.0 / near.clamp_min(1e-6)


def _shade(
    scene: Scene, pose: Tensor, rays: Tensor, hits: Hits, height: int, fov_y: float, parts: Tensor
) -> tuple[Tensor, Tensor]:
    """Colours (N,3) and sharpness (N,) of hits; what leaves the grid shows the sky."""
    count = len(rays)
    colour = torch.zeros(count, 3, device=rays.device)
    sharp = torch.zeros(count, device=rays.device)
    air = (hits.cell < 0).nonzero()[:, 0]
    if len(air):
        row, column = sky_cells(rays.index_select(0, air), *scene.sky.shape[:2])
        beyond = scene.sky[row, column].float()
        colour[air], sharp[air] = beyond[:, :3], beyond[:, 3]
    rows = torch.where(hits.cell >= 0, rows_of(scene, hits), -1)
    solid = (rows >= 0).nonzero()[:, 0]
    if len(solid):
        rows = rows.index_select(0, solid)
        sample = sample_places(
            pose, rays.index_select(0, solid), hits.depth.index_select(0, solid),
            hits.facing.index_select(0, solid), height, fov_y, parts,
        )  # fmt: skip
        index = texel_index(rows, sample, len(scene.finest))
        texels = scene.textures.index_select(0, index.flatten()).float()
        colour[solid] = texels.view(len(parts), -1, 3).mean(0)
        lacking = (scene.finest.index_select(0, rows) - sample.level).clamp_min(0)
        sharp[solid] = torch.exp2(-lacking.float())
    return colour, sharp
