"""Memory of points: filmed faces of blocks (the atlas), painted squares, the sky, commanded edits.

Filmed faces are never removed by looking: only a commanded edit removes those of a dug cell. The
net's pictures are written where nothing was known, in an edit, or over much coarser ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.memory import Edit, Pointed, View
from nfd_gym.memory.atlas import Atlas, mip_maps, pack, standing_faces, unpack
from nfd_gym.memory.blocks import front_sides, pixel_surfels, remove_cell, shown_cell
from nfd_gym.memory.chart import joined, map_from_above, ply
from nfd_gym.memory.edits import laid_bare
from nfd_gym.memory.floor import NOWHERE, below_floor, floor_under
from nfd_gym.memory.geometry import focal_length, pixel_rays
from nfd_gym.memory.painting import append, carve
from nfd_gym.memory.picture import close_pinholes, fill_unknown, slivers
from nfd_gym.memory.pointing import pointed_at
from nfd_gym.memory.raycast import with_solid, without_solid
from nfd_gym.memory.render import Scene, render
from nfd_gym.memory.sky import paint_sky
from nfd_gym.memory.surfels import Surfels, draw
from nfd_gym.memory.templates import Templates, no_templates, pack_templates, unpack_templates
from nfd_gym.model.tokenizer import Tokenizer

DUG = 1  # edit kinds: 0 none, 1 dug, 2 + k placed block of kind k
FILLED = 0.25  # sharpness of slivers that were filled from around them
COARSE = 0.12  # sharpness below which painted surfels may be painted again
CLOSEST = 0.4  # metres; nothing is painted nearer to the eye
HORIZON = 1 / 250.0  # nearness below which a pixel is sky
SMALL_THINGS = 30.0  # metres up to which squares off the lattice are drawn
NO_FACE = -1  # key of a free slot of changed faces


class Points(NamedTuple):
    painted: Surfels  # (B,P,...) a ring; size 0 = free
    head: Tensor  # (B,) long, next slot of the ring
    space: Tensor  # (B,X,Y,Z) uint8, free boxes, see raycast
    keys: Tensor  # (B,R) long, a ring: 6 * cell + facing of faces that edits brought; NO_FACE: free
    rows: Tensor  # (B,R) long, their textures; -1: unknown
    changed: Tensor  # (B,) long, next slot of that ring
    gone: Tensor  # (B,L) bool, squares off the lattice that were dug away
    sky: Tensor  # (B,SH,SW,4) uint8: colour and whether it was seen
    now: Edit  # the edit of this tick, where it shows what no texture is known of
    floor: Tensor  # (B,) long, height of the ground where nothing was filmed


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
    most_faces: int = 4096  # R
    edits: int = 2  # masks of a view: dug, placed

    kind = "points"

    def config(self) -> dict[str, Any]:
        """JSON-able settings, as `build` takes them."""
        names = ("height", "width", "fov_y", "painted", "most_faces", "keeps_paint")
        return {name: getattr(self, name) for name in names}

    def tensors(self) -> dict[str, Tensor]:
        """The atlas, as `build` takes it."""
        return {
            "atlas": pack(self.atlas.faces, self.sky.cpu().numpy()),
            "templates": pack_templates(self.templates),
        }

    @classmethod
    def build(
        cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor], code: Tokenizer
    ) -> "PointMemory":
        faces, sky = unpack(tensors["atlas"])
        templates = unpack_templates(tensors["templates"])
        return cls(atlas=Atlas(faces), sky=torch.from_numpy(sky), templates=templates, **config)

    def without_atlas(self) -> "PointMemory":
        """A memory of which nothing was filmed: all is painted, and what was painted is kept."""
        sky = torch.zeros_like(self.sky)
        room = max(self.painted, PointMemory.painted)
        return replace(self, atlas=self.atlas.emptied(), sky=sky, keeps_paint=True, painted=room)

    @cached_property
    def _texels(self) -> NDArray[np.uint8]:
        """Textures (T,16,16,3): of the atlas's faces, placed blocks, and faces laid bare."""
        placed = self.templates.placed.reshape(-1, *self.templates.placed.shape[2:])
        return np.concatenate([self.atlas.faces.texels, placed, self.templates.texels])

    @property
    def _hidden(self) -> int:
        """The first texture of a face laid bare."""
        return len(self._texels) - len(self.templates.texels)

    @cached_property
    def _textures(self) -> Tensor:
        return mip_maps(self._texels).to(self.sky.device)

    @cached_property
    def _finest(self) -> Tensor:
        """Finest filmed level (T,) of each texture."""
        known = self.atlas.faces.level.astype(np.int64)
        full = np.zeros(len(self._texels) - len(known), np.int64)
        return torch.from_numpy(np.concatenate([known, full])).to(self.sky.device)

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
            self.atlas.space.expand(num_envs, -1, -1, -1),
            zeros(self.most_faces, dtype=torch.long) + NO_FACE,
            zeros(self.most_faces, dtype=torch.long),
            zeros(dtype=torch.long),
            zeros(len(self.atlas.loose.size), dtype=torch.bool),
            self.sky.expand(num_envs, -1, -1, -1),
            Edit(zeros(dtype=torch.long), zeros(3, dtype=torch.long)),
            zeros(dtype=torch.long) + NOWHERE,
        )

    def start(self, frames: Tensor, nearness: Tensor, poses: Tensor) -> Points:
        """Given frames are taken in as painted surfels where the atlas knows nothing."""
        state = self.empty(len(frames))._replace(floor=floor_under(poses))
        for i in range(frames.shape[1]):
            view = self.read(state, frames[:, i], poses[:, i])
            state = self.write(state, view, frames[:, i], nearness[:, i], poses[:, i])
        return state

    # ---- edit -------------------------------------------------------------------------------

    def edit(self, state: Points, edit: Edit | None) -> Points:
        """A dug cell is free and shows the hidden sides of the blocks around it; a placed one is
        solid and has six faces. Their textures come from templates; where there is none the read
        that follows marks the cell as edited, and the net paints it."""
        calm = Edit(torch.zeros_like(state.now.kind), state.now.cell)
        state = state._replace(now=calm)
        if edit is None or not bool((edit.kind > 0).any()):
            return state
        parts = [self._edit_one(state, edit, env) for env in range(len(edit.kind))]
        painted = Surfels(
            *(torch.stack([part[0][i] for part in parts]) for i in range(len(Surfels._fields)))
        )
        space, keys, rows, changed, gone, opened = (
            torch.stack([part[i] for part in parts]) for i in range(1, 7)
        )
        return state._replace(
            painted=painted, space=space, keys=keys, rows=rows, changed=changed, gone=gone,
            now=Edit(opened, edit.cell),
        )  # fmt: skip

    def _edit_one(self, state: Points, edit: Edit, env: int) -> tuple[Any, ...]:
        """Painted squares, spaces, keys, rows, next slot, gone squares and the kind of edit that
        the net has to paint, of one environment."""
        kind, cell = int(edit.kind[env]), edit.cell[env]
        painted = Surfels(*(part[env] for part in state.painted))
        space, keys, rows = state.space[env], state.keys[env], state.rows[env]
        changed, gone = state.changed[env], state.gone[env]
        index, inside = self.atlas.place(cell)
        if not kind or not bool(inside):
            return painted, space, keys, rows, changed, gone, edit.kind[env]
        old, place = keys, cell - self.atlas.low
        keys = torch.where(torch.div(keys, 6, rounding_mode="floor") == index, NO_FACE, keys)
        painted = remove_cell(painted, cell)
        if kind == DUG:
            new = laid_bare(self.atlas, self.templates, self._hidden, cell, old)
            space = without_solid(space, place)
            gone = gone | (torch.round(self.atlas.loose.position).long() == cell).all(-1)
        else:
            first = len(self.atlas.faces.cell) + 6 * (kind - DUG - 1)
            known = kind - DUG - 1 < len(self.templates.placed)
            new = [(cell, f, first + f if known else -1) for f in range(6)]
        for owner, facing, row in new:
            at, there = self.atlas.place(owner)
            if not bool(there):
                continue
            if int(space[tuple((owner - self.atlas.low).tolist())]):
                space = with_solid(space, owner - self.atlas.low)
            slot = torch.arange(len(keys), device=keys.device) == changed
            keys = torch.where(slot, at * 6 + facing, keys)
            rows = torch.where(slot, row, rows)
            changed = (changed + 1) % self.most_faces
        unknown = any(row < 0 for _, _, row in new)
        opened = torch.where(torch.tensor(unknown), edit.kind[env], 0)
        return painted, space, keys, rows, changed, gone, opened

    # ---- read -------------------------------------------------------------------------------

    def pointed(self, state: Points, pose: Tensor, asked: Sequence[bool] | None = None) -> Pointed:
        """What the middle of the view at `pose` (B,5) shows, before any edit; zeros where nobody
        asked (B,)."""
        cells = torch.zeros(len(pose), 3, dtype=torch.long, device=pose.device)
        seen = Pointed(
            pose.new_zeros(len(pose)), cells, cells.clone(), pose.new_zeros(len(pose), 3)
        )
        whole = len(self._textures) - len(self._texels)
        for env in range(len(pose)):
            if asked is None or asked[env]:
                scene, squares = self._scene(state, env), partial(self._near, state, env, pose[env])
                for field, value in zip(
                    seen, pointed_at(scene, squares, whole, pose[env]), strict=True
                ):
                    field[env] = value
        return seen

    def _near(self, state: Points, env: int, pose: Tensor, far: float) -> Surfels:
        return self._squares(state, env, pose, far)[0]

    def read(self, state: Points, frame: Tensor, pose: Tensor) -> View:
        views = [self._read_one(state, env, pose[env]) for env in range(len(pose))]
        return View(*(torch.stack(fields) for fields in zip(*views, strict=True)))

    def _scene(self, state: Points, env: int) -> Scene:
        used = (state.keys[env] != NO_FACE).nonzero()[:, 0]
        keys, order = state.keys[env][used].sort()
        return Scene(
            self.atlas, state.space[env], keys, state.rows[env][used][order], self._textures,
            self._finest, state.sky[env],
        )  # fmt: skip

    def _squares(self, state: Points, env: int, pose: Tensor, far: float) -> tuple[Surfels, int]:
        """Squares off the lattice up to `far` metres away and painted ones, front sides; and how
        many of them are filmed."""
        loose = self.atlas.loose
        near = (loose.position - pose[:3]).abs().amax(1) < far + 1.0
        rows = (near & ~state.gone[env]).nonzero()[:, 0]
        filmed = front_sides(Surfels(*(part.index_select(0, rows) for part in loose)), pose)
        used = (state.painted.size[env] > 0).nonzero()[:, 0]
        if not len(used):
            return filmed, len(filmed.size)
        painted = Surfels(*(part[env].index_select(0, used) for part in state.painted))
        return joined([filmed, front_sides(painted, pose)]), len(filmed.size)

    def _read_one(self, state: Points, env: int, pose: Tensor) -> tuple[Tensor, ...]:
        seen = render(self._scene(state, env), pose, self.height, self.width, self.fov_y)
        colour, depth, sharp = seen.colour.permute(2, 0, 1), seen.depth, seen.sharp
        coarse = torch.zeros_like(sharp, dtype=torch.bool)
        squares, filmed = self._squares(state, env, pose, SMALL_THINGS)
        if len(squares.size):
            drawn = draw(squares, pose, self.height, self.width, self.fov_y)
            known = sharp > 0  # on a side that no texture is known of a painted square may lie
            front = drawn.depth < torch.where(known, 0.99 * depth - 0.01, 1.02 * depth + 0.03)
            sure = (1.0 / drawn.width.clamp_min(1.0)) * (drawn.width > 0)
            own, away, sure = close_pinholes(drawn.colour.permute(2, 0, 1), drawn.depth, sure)
            colour = torch.where(front, own, colour)
            depth, sharp = torch.where(front, away, depth), torch.where(front, sure, sharp)
            coarse = front & (drawn.owner >= filmed) & (sure < COARSE)
        colour = colour / 127.5 - 1.0
        nearness = torch.where(depth.isfinite(), 1.0 / depth, 0.0)
        unknown = sharp == 0
        if bool(unknown.any()):
            thin = slivers(unknown)
            colour, nearness = fill_unknown(colour, nearness, unknown, depth.isfinite() & unknown)
            sharp = torch.where(thin, FILLED, sharp)
        edited = torch.zeros(2, self.height, self.width, device=pose.device)
        kind = int(state.now.kind[env])
        if kind:
            inside, enter = shown_cell(nearness, pose, state.now.cell[env], self.fov_y)
            if kind > DUG:  # the new block hides what is behind it
                nearness = torch.where(inside, 1.0 / enter, nearness)
            edited[0 if kind == DUG else 1] = inside.float()
            sharp = torch.where(inside, torch.zeros_like(sharp), sharp)
            colour, nearness = fill_unknown(colour, nearness, sharp == 0, keep=edited[1] > 0)
        may_write = (sharp == 0) | coarse
        return colour, nearness[None], sharp[None], edited, may_write[None].float()

    def solid(self, state: Points, cells: Tensor) -> Tensor:
        """Whether cells (B,K,3) are blocks."""
        index, inside = self.atlas.place(cells)
        known = (state.space.flatten(1).gather(1, index) == 0) & inside
        if len(self.atlas.faces.cell):
            return known
        return known | below_floor(state.space, state.floor, cells, index)

    def grounded(self, state: Points, cells: Tensor) -> Tensor:
        """Whether any block is known above or below cells (B,3)."""
        return self.solid(state, self.atlas.columns(cells)).any(1)

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
        """Faces at one level of detail as squares, less the dug, and painted squares."""
        used = ((state.keys[env] != NO_FACE) & (state.rows[env] >= 0)).nonzero()[:, 0]
        faces = standing_faces(
            self.atlas, state.space[env], state.keys[env][used], state.rows[env][used],
            self._texels, level,
        )  # fmt: skip
        loose = self.atlas.loose
        loose = loose._replace(size=torch.where(state.gone[env], 0.0, loose.size))
        return joined([faces, loose, Surfels(*(field[env] for field in state.painted))])

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
                paint_sky(sky[env], rays[air], frame[env][air])
            solid = chosen & ~air
            if int(state.now.kind[env]) and bool(solid.any()):
                opened = view.edited[env].amax(0) > 0
                carve(painted, env, opened, nearness[env], pose[env], self.fov_y)
            # where memory knows the surface, only its colour is new
            known = (view.sharp[env, 0] > 0) | (view.edited[env, 1:].amax(0) > 0)
            near = torch.where(known, view.nearness[env, 0], nearness[env]).clamp_max(1 / CLOSEST)
            new = pixel_surfels(frame[env], near, pose[env], rays, solid, focal)
            append(painted, head, env, new)
        return state._replace(painted=painted, head=head, sky=sky)
