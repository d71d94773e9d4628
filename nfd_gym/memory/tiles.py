"""Tile memory: a map of square tiles as they last looked, for games seen from above.

A pose is the player's place (right, down) in tiles; the picture shows the tiles around it, and
whatever is below or beside them (counts, say). Tiles that stay where they are on the screen, the
player's own among them, are never written: when the player has left, the map holds the ground.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym import settings
from nfd_gym.memory import Edit, View
from nfd_gym.model.pixels import to_float, to_uint8

UNSEEN = -1
OLDEST = 10_000  # steps; a tile does not grow older
CHANGED = 12.0  # root mean square of grey levels from which a tile below the view is another one
GRID = 4  # numbers of a token's mask along its side
LASTS = 3  # steps that one of them tells of; 45 in all


def known(age: Tensor) -> Tensor:
    """How far a tile of an age is known: 1 of the last frame, 0 of one that was never in view."""
    return torch.where(age < 0, 0.0, 1.0 / (1.0 + age / 16.0))


def lasted(since: Tensor) -> Tensor:
    """Mask (...,16) of a tile that has looked as it does for `since` (...) steps: a scale that
    fills up, and one more number that says whether the time is known."""
    marks = LASTS * torch.arange(GRID * GRID - 1, device=since.device)
    filled = ((since[..., None] - marks) / LASTS).clamp(0.0, 1.0)
    sure = (since >= 0)[..., None].to(filled.dtype)
    return torch.cat([filled * sure, sure], dim=-1)


class TileMap(NamedTuple):
    """The map of B environments; it wraps around at its edges."""

    tiles: Tensor  # uint8 (B,S,S,tile,tile,3), [down, right]
    age: Tensor  # int16 (B,S,S) steps since a tile was in view; UNSEEN: never
    since: Tensor  # int16 (B,R,across) steps since a tile below the view changed; UNSEEN: not yet


@dataclass(frozen=True, kw_only=True)
class TileMemory:
    """Reader and writer of a `TileMap`."""

    tile: int = 16  # pixels a side
    across: int = 9  # tiles of the map in view; they begin in the picture's upper left corner
    down: int = 7
    side: int = 72  # S: as large as the game's map and a view beyond, or far places are mixed up
    kind = "tiles"
    edits = 0

    @property
    def middle(self) -> tuple[int, int]:
        """(right, down) of the player's tile in the view."""
        return self.across // 2, self.down // 2

    def start(self, frames: Tensor, nearness: Tensor, poses: Tensor) -> TileMap:
        """The map after frames uint8 (B,T,H,W,3) were shown at poses (B,T,2)."""
        batch = len(frames)
        shape = (batch, self.side, self.side)
        tiles = frames.new_zeros(*shape, self.tile, self.tile, 3)
        age = torch.full(shape, UNSEEN, dtype=torch.int16, device=frames.device)
        below = (batch, frames.shape[2] // self.tile - self.down, self.across)
        since = torch.full(below, UNSEEN, dtype=torch.int16, device=frames.device)
        state = TileMap(tiles, age, since)
        for i in range(frames.shape[1]):
            state = self._written(state, frames[:, max(0, i - 1)], frames[:, i], poses[:, i])
        return state

    def edit(self, state: TileMap, edit: Edit | None) -> TileMap:
        return state

    def read(self, state: TileMap, frame: Tensor, pose: Tensor) -> View:
        """The map around `pose` (B,2), and the last frame where the screen does not move. `sharp`
        falls with a tile's age, and tells below the view for how long a tile has looked as it
        does; what was never in view is mid-grey."""
        rows, columns = self._spots(pose)
        env = torch.arange(len(pose), device=pose.device)[:, None, None]
        age = state.age[env, rows, columns].float()  # (B,down,across)
        age[:, self.middle[1], self.middle[0]] = 0.0
        tiles = state.tiles[env, rows, columns]  # (B,down,across,tile,tile,3)
        tiles = torch.where((age < 0)[..., None, None, None], 127, tiles)
        height, width = self.down * self.tile, self.across * self.tile
        picture = frame.clone()
        picture[:, :height, :width] = tiles.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        x, y = (m * self.tile for m in self.middle)
        own = slice(y, y + self.tile), slice(x, x + self.tile)
        picture[:, own[0], own[1]] = frame[:, own[0], own[1]]
        colour = to_float(picture)
        sharp = torch.ones_like(colour[:, :1])
        fresh = known(age).repeat_interleave(self.tile, 1).repeat_interleave(self.tile, 2)
        sharp[:, 0, :height, :width] = fresh
        marks = lasted(state.since).unflatten(-1, (GRID, GRID)).transpose(2, 3).flatten(3, 4)
        marks = marks.flatten(1, 2)  # (B,R*4,across*4)
        size = self.tile // GRID
        sharp[:, 0, height:, :width] = marks.repeat_interleave(size, 1).repeat_interleave(size, 2)
        nothing = colour[:, :0]
        return View(colour, nothing, sharp, nothing, torch.zeros_like(sharp))

    def write(
        self, state: TileMap, view: View, frame: Tensor, nearness: Tensor, pose: Tensor
    ) -> TileMap:
        """The map after `frame` uint8 (B,H,W,3) was shown at `pose`."""
        before = to_uint8(view.colour)  # below the view that is the last frame
        return self._written(state._replace(tiles=state.tiles.clone()), before, frame, pose)

    def map(self, state: TileMap, pose: Tensor) -> list[NDArray[np.uint8]]:
        """All that was ever in view, from above: a picture (h,w,3) per environment with the player
        in the middle tile; black where nothing was seen."""
        pictures = []
        for env, at in enumerate(pose.round().long().tolist()):
            half = self.side // 2
            turned = (half - at[1], half - at[0])
            seen = torch.roll(state.age[env] != UNSEEN, turned, (0, 1))
            tiles = torch.roll(state.tiles[env], turned, (0, 1)) * seen[..., None, None, None]
            rows, columns = seen.any(1).nonzero()[:, 0], seen.any(0).nonzero()[:, 0]
            far = max(
                *(
                    abs(int(edge) - half)
                    for part in (rows, columns)
                    for edge in (part[0], part[-1])
                ),
                1,
            )
            box = slice(max(0, half - far), half + far + 1)
            pictures.append(tiles[box, box].transpose(1, 2).flatten(2, 3).flatten(0, 1).numpy())
        return pictures

    def config(self) -> dict[str, Any]:
        return settings.to_json(self)

    def tensors(self) -> dict[str, Tensor]:
        """Nothing is known from training."""
        return {}

    @classmethod
    def build(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "TileMemory":
        return settings.from_json(cls, config, "memory")

    def _written(self, state: TileMap, before: Tensor, frame: Tensor, pose: Tensor) -> TileMap:
        """Side effect: `state.tiles` is changed; ages are new. `before` is the frame before."""
        rows, columns = (
            part.flatten(1)[:, self._moving(pose.device)] for part in self._spots(pose)
        )
        env = torch.arange(len(pose), device=pose.device)[:, None]
        state.tiles[env, rows, columns] = self.cut(frame)[:, self._moving(pose.device)]
        age = torch.where(state.age < 0, state.age, (state.age + 1).clamp_max(OLDEST))
        age[env, rows, columns] = 0
        return TileMap(state.tiles, age, self.since(state.since, before, frame))

    def since(self, since: Tensor, before: Tensor, frame: Tensor) -> Tensor:
        """Steps (B,R,across) since the tiles below the view changed, one frame later."""
        change = self.below(frame).float() - self.below(before).float()
        other = change.square().mean((3, 4, 5)).sqrt() > CHANGED
        longer = torch.where(since < 0, since, (since + 1).clamp_max(OLDEST))
        return torch.where(other, 0, longer).to(since.dtype)

    def lasting(self, state: TileMap) -> Tensor:
        """For how long the tiles below the view have looked so (B,R*across,16), as in a view."""
        return lasted(state.since.flatten(1))

    def below(self, frames: Tensor) -> Tensor:
        """The tiles below the view (B,R,across,tile,tile,3) of frames (B,H,W,3)."""
        part = frames[:, self.down * self.tile :, : self.across * self.tile]
        tiles: Tensor = part.unflatten(2, (self.across, self.tile)).unflatten(1, (-1, self.tile))
        return tiles.transpose(2, 3)

    def cut(self, frame: Tensor) -> Tensor:
        """The tiles in view (B,down*across,tile,tile,3) of frames (B,H,W,3)."""
        seen = frame[:, : self.down * self.tile, : self.across * self.tile]
        parts = seen.unflatten(2, (self.across, self.tile)).unflatten(1, (self.down, self.tile))
        tiles: Tensor = parts.transpose(2, 3).flatten(1, 2)
        return tiles

    def _moving(self, device: torch.device) -> Tensor:
        """Places of the tiles in view that move with the map: all but the player's."""
        right, down = self.middle
        every = torch.arange(self.down * self.across, device=device)
        return every[every != down * self.across + right]

    def _spots(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and columns (B,down,across) of the tiles in view in the map."""
        at = pose.round().long()
        right = torch.arange(self.across, device=pose.device) - self.middle[0]
        down = torch.arange(self.down, device=pose.device) - self.middle[1]
        rows = (at[:, 1, None] + down) % self.side
        columns = (at[:, 0, None] + right) % self.side
        shape = (len(pose), self.down, self.across)
        return rows[:, :, None].expand(shape), columns[:, None, :].expand(shape)
