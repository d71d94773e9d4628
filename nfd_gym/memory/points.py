"""Memory of points: filmed surfels (the atlas), painted surfels, the sky, and commanded edits.

Trust has an order. Filmed surfels are never removed by looking: only a commanded edit removes those
of a dug cell. The net's pictures are written where nothing was known, inside a commanded edit, or
where a painted surfel is much coarser than the picture.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.memory import Edit, View
from nfd_gym.memory.atlas import NORMALS, Atlas, Keep, cell_key, owner_cell, pack, unpack
from nfd_gym.memory.blocks import (
    cube_entry,
    front_sides,
    pixel_surfels,
    pointed_cell,
    remove_cell,
    with_shell,
)
from nfd_gym.memory.chart import joined, map_from_above, ply
from nfd_gym.memory.geometry import focal_length, pixel_rays, project
from nfd_gym.memory.picture import close_pinholes, fill_unknown
from nfd_gym.memory.sky import sky_cells
from nfd_gym.memory.surfels import ANY, Drawn, Surfels, draw
from nfd_gym.memory.templates import (
    Templates,
    face,
    no_templates,
    pack_templates,
    unpack_templates,
)

MIDDLE = 4  # pixels around the middle that tell what is pointed at
DUG = 1  # edit kinds: 0 none, 1 dug, 2 + k placed block of kind k
COARSE = 0.12  # sharpness below which painted surfels may be painted again
CLOSEST = 0.4  # metres; nothing is painted nearer to the eye
HORIZON = 1 / 250.0  # nearness below which a pixel is sky


class Points(NamedTuple):
    painted: Surfels  # (B,P,...) a ring; size 0 = free
    head: Tensor  # (B,) long, next slot of the ring
    cells: Tensor  # (B,E,3) long, edited cells, newest last
    kinds: Tensor  # (B,E) long, 0 = free
    sky: Tensor  # (B,SH,SW,4) uint8: colour and whether it was seen
    now: Edit  # the edit of this tick


@dataclass(frozen=True)
class PointMemory:
    """Reader and writer of points for pictures of `height` x `width` pixels."""

    height: int
    width: int
    fov_y: float
    atlas: Atlas
    sky: Tensor  # (SH,SW,4) uint8 of the atlas
    templates: Templates = field(default_factory=no_templates)
    painted: int = 131072  # P
    keeps_paint: bool = True  # what the net painted is remembered; False: drawn anew every frame
    most_edits: int = 512  # E
    edits: int = 2  # masks of a view: dug, placed

    kind = "points"

    def config(self) -> dict[str, Any]:
        """JSON-able settings, as `build` takes them."""
        names = ("height", "width", "fov_y", "painted", "most_edits", "keeps_paint")
        return {name: getattr(self, name) for name in names}

    def tensors(self) -> dict[str, Tensor]:
        """The atlas, as `build` takes it."""
        return {
            "atlas": pack(self.atlas.faces, self.sky.cpu().numpy()),
            "templates": pack_templates(self.templates),
        }

    @classmethod
    def build(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "PointMemory":
        faces, sky = unpack(tensors["atlas"])
        templates = unpack_templates(tensors["templates"])
        return cls(atlas=Atlas(faces), sky=torch.from_numpy(sky), templates=templates, **config)

    def pointed(self, state: Points, pose: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the middle of the view at `pose` (B,5) shows, before any edit: see `pointed_cell`.
        Only a few pixels around the middle are drawn."""
        share = MIDDLE / self.height * math.tan(math.radians(self.fov_y) / 2)
        fov = 2 * math.degrees(math.atan(share))
        small = replace(self, height=MIDDLE, width=MIDDLE, fov_y=fov)
        depth = torch.stack(
            [small.drawn(state, env, pose[env])[0].depth for env in range(len(pose))]
        )
        return pointed_cell(1.0 / depth, pose)

    def empty(self, num_envs: int) -> Points:
        device = self.sky.device

        def zeros(*shape: int, dtype: torch.dtype) -> Tensor:
            return torch.zeros(num_envs, *shape, dtype=dtype, device=device)

        return Points(
            Surfels(
                zeros(self.painted, 3, dtype=torch.float32),
                zeros(self.painted, dtype=torch.uint8),
                zeros(self.painted, dtype=torch.float32),
                zeros(self.painted, 3, dtype=torch.uint8),
            ),
            zeros(dtype=torch.long),
            zeros(self.most_edits, 3, dtype=torch.long),
            zeros(self.most_edits, dtype=torch.long),
            self.sky.expand(num_envs, -1, -1, -1),
            Edit(zeros(dtype=torch.long), zeros(3, dtype=torch.long)),
        )

    def start(self, frames: Tensor, nearness: Tensor, poses: Tensor) -> Points:
        """Given frames are taken in as painted surfels where the atlas knows nothing."""
        state = self.empty(len(frames))
        for i in range(frames.shape[1]):
            view = self.read(state, frames[:, i], poses[:, i])
            state = self.write(state, view, frames[:, i], nearness[:, i], poses[:, i])
        return state

    # ---- edit -------------------------------------------------------------------------------

    def edit(self, state: Points, edit: Edit | None) -> Points:
        """A dug cell loses its surfels and shows what was behind it; a placed one gets its faces.

        Both come from templates. Where there is none for it the picture is opened instead: the
        read that follows marks the cell as edited, and the net paints it.
        """
        calm = Edit(torch.zeros_like(state.now.kind), state.now.cell)
        if edit is None or not bool((edit.kind > 0).any()):
            return state._replace(now=calm)
        cells, kinds = state.cells.clone(), state.kinds.clone()
        painted, head = Surfels(*(field.clone() for field in state.painted)), state.head.clone()
        opened = edit.kind.clone()
        for env in (edit.kind > 0).nonzero()[:, 0].tolist():
            cell, kind = edit.cell[env], int(edit.kind[env])
            same = (cells[env] == cell).all(-1) & (kinds[env] > 0)
            slot = int(same.nonzero()[0]) if bool(same.any()) else int(kinds[env].argmin())
            if kinds[env, slot] > 0 and not bool(same.any()):  # full: the oldest is forgotten
                cells[env], kinds[env] = cells[env].roll(-1, 0), kinds[env].roll(-1, 0)
                slot = self.most_edits - 1
            cells[env, slot], kinds[env, slot] = cell, kind
            if kind == DUG:
                remove_cell(painted, env, cell)
                edited = {
                    tuple(place): what
                    for place, what in zip(cells[env].tolist(), kinds[env].tolist(), strict=True)
                    if what
                }
                new = self._laid_bare(cell, edited)
            else:
                new = self._block(cell, kind - DUG - 1)
            for faces in new:
                self._append(painted, head, env, faces)
            if new:
                opened[env] = 0
        now = Edit(opened, edit.cell)
        return state._replace(cells=cells, kinds=kinds, painted=painted, head=head, now=now)

    def _laid_bare(self, cell: Tensor, edited: Mapping[tuple[int, ...], int]) -> list[Surfels]:
        """Faces of the solid neighbours of a dug cell that were hidden until now."""
        home, faces = cell.cpu().numpy(), []
        for facing, normal in enumerate(NORMALS):
            beside = home - normal
            is_air = self.atlas.has_face(home.tolist(), facing ^ 1)
            known = self.atlas.has_face(beside.tolist(), facing)
            if is_air or known or tuple(beside.tolist()) in edited:
                continue
            texels = self.templates.of_hidden(beside, facing)
            if texels is not None:
                faces.append(face(cell - torch.from_numpy(normal).to(cell), facing, texels, 8))
        return faces

    def _block(self, cell: Tensor, kind: int) -> list[Surfels]:
        """The six faces of a placed block."""
        if kind >= len(self.templates.placed):
            return []
        return [face(cell, f, self.templates.of_placed(kind, f), 16) for f in range(6)]

    # ---- read -------------------------------------------------------------------------------

    def read(self, state: Points, frame: Tensor, pose: Tensor) -> View:
        views = [self._read_one(state, env, pose[env]) for env in range(len(pose))]
        return View(*(torch.stack(fields) for fields in zip(*views, strict=True)))

    def drawn(self, state: Points, env: int, pose: Tensor) -> tuple[Drawn, int]:
        """Surfels of one environment from one pose, and how many of them are filmed."""
        gone = state.cells[env][state.kinds[env] > 0]
        keep = Keep(self.atlas, gone) if len(gone) else None
        filmed = self.atlas.gather(
            self.atlas.visible(pose, self.height, self.width, self.fov_y), keep
        )
        used = (state.painted.size[env] > 0).nonzero()[:, 0]
        painted = Surfels(*(field[env].index_select(0, used) for field in state.painted))
        painted = front_sides(painted, pose)
        both = Surfels(*(torch.cat(pair) for pair in zip(filmed, painted, strict=True)))
        return draw(both, pose, self.height, self.width, self.fov_y), len(filmed.size)

    def _read_one(self, state: Points, env: int, pose: Tensor) -> tuple[Tensor, ...]:
        drawn, filmed = self.drawn(state, env, pose)
        colour, depth = drawn.colour.permute(2, 0, 1) / 127.5 - 1.0, drawn.depth
        sharp = torch.where(drawn.width > 0, (1.0 / drawn.width.clamp_min(1e-6)).clamp_max(1.0), 0)
        loose = (drawn.owner >= filmed) & (sharp < COARSE)
        colour, depth, sharp = close_pinholes(colour, depth, sharp)
        rays = pixel_rays(pose[None], self.height, self.width, self.fov_y)[0]
        rows, columns = sky_cells(rays, *state.sky.shape[1:3])
        beyond = state.sky[env, rows, columns]
        open_air = (sharp == 0) & (beyond[..., 3] > 0)
        colour = torch.where(open_air, beyond[..., :3].permute(2, 0, 1) / 127.5 - 1.0, colour)
        sharp = torch.where(open_air, torch.ones_like(sharp), sharp)
        nearness = torch.where(depth.isfinite(), 1.0 / depth, 0.0)
        edited = torch.zeros(2, self.height, self.width, device=pose.device)
        kind = int(state.now.kind[env])
        if kind:
            enter = cube_entry(rays, pose, state.now.cell[env])
            front = torch.where(nearness > 0, 1.0 / nearness.clamp_min(1e-6), torch.inf)
            inside = enter.isfinite() & (enter < front + 0.05)
            if kind > DUG:  # the new block hides what is behind it
                nearness = torch.where(inside, 1.0 / enter, nearness)
            edited[0 if kind == DUG else 1] = inside.float()
            sharp = torch.where(inside, torch.zeros_like(sharp), sharp)
        unknown = sharp == 0
        colour, nearness = fill_unknown(colour, nearness, unknown, keep=edited[1] > 0)
        may_write = unknown | loose
        return colour, nearness[None], sharp[None], edited, may_write[None].float()

    def solid(self, state: Points, cells: Tensor) -> Tensor:
        """Whether cells (B,K,3) are blocks: those that own a face, less the dug, and the placed."""
        solid = self.atlas.solid(cells)
        keys = cell_key(cells)
        for env in range(len(cells)):
            kinds = state.kinds[env]
            used = state.painted.size[env] > 0
            if bool(used.any()):
                middle = cells[env, len(cells[env]) // 2]
                near = (state.painted.position[env] - middle).abs().amax(-1) <= 5
                rows = (used & near & (state.painted.facing[env] != ANY)).nonzero()[:, 0]
                painted = Surfels(*(part[env][rows] for part in state.painted))
                owners = owner_cell(painted.position, painted.facing)
                solid[env] |= torch.isin(keys[env], cell_key(owners))
            if bool((kinds > 0).any()):
                edited = cell_key(state.cells[env])
                solid[env] &= ~torch.isin(keys[env], edited[kinds == DUG])
                solid[env] |= torch.isin(keys[env], edited[kinds > DUG])
        return solid

    # ---- for people -------------------------------------------------------------------------

    def map(self, state: Points, pose: Tensor) -> list[NDArray[np.uint8]]:
        """What is known around the eyes, from above: a map (96,96,3) per environment."""
        return [
            map_from_above(self._all(state, env, level=3), pose[env].numpy())
            for env in range(len(pose))
        ]

    def points(self, state: Points, pose: Tensor) -> list[bytes]:
        """All that is known as a point cloud file (PLY) per environment."""
        return [ply(self._all(state, env, level=1)) for env in range(len(pose))]

    def _all(self, state: Points, env: int, level: int) -> Surfels:
        """Filmed surfels at one level of detail, less the dug, and painted ones."""
        filmed = self.atlas.levels[level].surfels
        gone = state.cells[env][state.kinds[env] > 0]
        if len(gone):
            keys = cell_key(owner_cell(filmed.position, filmed.facing))
            size = torch.where(torch.isin(keys, cell_key(gone)), 0.0, filmed.size)
            filmed = filmed._replace(size=size)
        painted = Surfels(*(field[env] for field in state.painted))
        return joined([filmed, self.atlas.loose, painted])

    # ---- write ------------------------------------------------------------------------------

    def write(
        self, state: Points, view: View, frame: Tensor, nearness: Tensor, pose: Tensor
    ) -> Points:
        if not (self.keeps_paint and bool((view.open > 0).any())):
            return state
        painted = Surfels(*(field.clone() for field in state.painted))
        head, sky = state.head.clone(), state.sky
        focal = focal_length(self.height, self.fov_y)
        for env in range(len(pose)):
            chosen = view.open[env, 0] > 0
            if not bool(chosen.any()):
                continue
            rays = pixel_rays(pose[env][None], self.height, self.width, self.fov_y)[0]
            air = chosen & (nearness[env] < HORIZON)
            if bool(air.any()):
                sky = sky.clone()
                rows, columns = sky_cells(rays[air], *sky.shape[1:3])
                sky[env, rows, columns, :3] = frame[env][air]
                sky[env, rows, columns, 3] = 1
            solid = chosen & ~air
            if int(state.now.kind[env]) and bool(solid.any()):
                self._carve(painted, env, view, nearness[env], pose[env])
            # where memory knows the surface, only its colour is new
            known = (view.sharp[env, 0] > 0) | (view.edited[env, 1:].amax(0) > 0)
            near = torch.where(known, view.nearness[env, 0], nearness[env]).clamp_max(1 / CLOSEST)
            new = pixel_surfels(frame[env], near, pose[env], rays, solid, focal)
            if int(state.now.kind[env]) > DUG:
                new = with_shell(new, state.now.cell[env])
            self._append(painted, head, env, new)
        return state._replace(painted=painted, head=head, sky=sky)

    def _carve(
        self, painted: Surfels, env: int, view: View, nearness: Tensor, pose: Tensor
    ) -> None:
        """Removes painted surfels that stand in front of what the edit now shows."""
        column, row, depth = project(
            painted.position[env][None], pose[None], self.height, self.width, self.fov_y
        )
        x, y = column[0].floor().long(), row[0].floor().long()
        inside = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height) & (depth[0] > 0)
        x, y = x.clamp(0, self.width - 1), y.clamp(0, self.height - 1)
        opened = view.edited[env].amax(0)[y, x] > 0
        shown = 1.0 / nearness[y, x].clamp_min(1e-6)
        painted.size[env][inside & opened & (depth[0] < 0.97 * shown - 0.03)] = 0.0

    def _append(self, painted: Surfels, head: Tensor, env: int, new: Surfels) -> None:
        count = min(len(new.size), self.painted)
        slots = (int(head[env]) + torch.arange(count, device=head.device)) % self.painted
        for part, value in zip(painted, new, strict=True):
            part[env][slots] = value[:count]
        head[env] = (head[env] + count) % self.painted
