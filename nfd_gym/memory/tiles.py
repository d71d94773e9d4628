"""Tile memory: a map of square tiles as they last looked, for games seen from above.

A pose is the player's place (right, down) in tiles; the picture shows the tiles around it, and
whatever is below or beside them (counts, say). Tiles that stay where they are on the screen, the
player's own among them, are never written: when the player has left, the map holds the ground.
A tile is kept as its code: the map is small, and a view of it needs no coding.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym import settings
from nfd_gym.errors import UsageError
from nfd_gym.memory import Edit, View
from nfd_gym.model.pixels import to_float, to_uint8
from nfd_gym.model.tokenizer import Tokenizer

UNSEEN = -1
OLDEST = 10_000  # steps; a tile does not grow older
CHANGED = 12.0  # root mean square of grey levels from which a tile below the view is another one
GRID = 4  # numbers of a token's mask along its side
LASTS = 3  # steps that one of them tells of; 45 in all
GREY = 127  # what was never in view


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


@dataclass(frozen=True, kw_only=True)
class TileSizes:
    """What of a picture is a map."""

    tile: int = 16  # pixels a side
    across: int = 9  # tiles of the map in view; they begin in the picture's upper left corner
    down: int = 7
    side: int = 72  # S: as large as the game's map and a view beyond, or far places are mixed up

    @property
    def middle(self) -> tuple[int, int]:
        """(right, down) of the player's tile in the view."""
        return self.across // 2, self.down // 2

    @property
    def inside(self) -> int:
        """Tiles in view."""
        return self.across * self.down

    def below(self, frames: Tensor) -> Tensor:
        """The tiles below the view uint8 (B,R,across,tile,tile,3) of frames (B,H,W,3)."""
        part = frames[:, self.down * self.tile :, : self.across * self.tile]
        tiles: Tensor = part.unflatten(2, (self.across, self.tile)).unflatten(1, (-1, self.tile))
        return tiles.transpose(2, 3)

    def since(self, since: Tensor, before: Tensor, below: Tensor) -> Tensor:
        """Steps (B,R,across) since tiles `below` the view (B,R,across,tile,tile,3) changed, one
        frame later; `before` are those of the frame before."""
        change = below.float() - before.float()
        other = change.square().mean((3, 4, 5)).sqrt() > CHANGED
        longer = torch.where(since < 0, since, (since + 1).clamp_max(OLDEST))
        return torch.where(other, 0, longer).to(since.dtype)


class TileMap(NamedTuple):
    """The map of B environments; it wraps around at its edges."""

    codes: Tensor  # float16 (B,S,S,C), [down, right]
    age: Tensor  # int16 (B,S,S) steps since a tile was in view; UNSEEN: never
    last: Tensor  # float16 (B,N,C) codes of the last frame
    below: Tensor  # uint8 (B,R,across,tile,tile,3) the tiles below its view
    since: Tensor  # int16 (B,R,across) steps since one of them changed; UNSEEN: not yet


class TileMemory:
    """Reader and writer of a `TileMap`, in a world whose tokens are tiles."""

    kind = "tiles"
    edits = 0

    def __init__(self, sizes: TileSizes, code: Tokenizer) -> None:
        self.sizes, self.code = sizes, code
        height, width = code.config.grid
        if (code.config.patch, width) != (sizes.tile, sizes.across) or height < sizes.down:
            raise UsageError(f"a map of {sizes} needs a token for every tile, not {code.config}.")
        every = torch.arange(sizes.inside)
        right, down = sizes.middle
        self._moving = every[every != down * sizes.across + right]  # tiles that move with the map

    def start(self, frames: Tensor, nearness: Tensor, poses: Tensor) -> TileMap:
        """The map after frames uint8 (B,T,H,W,3) were shown at poses (B,T,2)."""
        shape = (len(frames), self.sizes.side, self.sizes.side)
        codes = self._coded(frames[:, 0])
        below = self.sizes.below(frames[:, 0])
        state = TileMap(
            codes.new_zeros(*shape, codes.shape[-1]),
            torch.full(shape, UNSEEN, dtype=torch.int16, device=frames.device),
            codes,
            below,
            torch.full(below.shape[:3], UNSEEN, dtype=torch.int16, device=frames.device),
        )
        for i in range(frames.shape[1]):
            state = self._written(state, frames[:, i], poses[:, i])
        return state

    def edit(self, state: TileMap, edit: Edit | None) -> TileMap:
        return state

    def read(self, state: TileMap, frame: Tensor, pose: Tensor) -> View:
        """The map around `pose` (B,2), and the last frame where the screen does not move, in
        codes. `sharp` has GRID x GRID numbers a tile: it falls with a tile's age, and tells below
        the view for how long a tile has looked as it does; what was never in view is mid-grey."""
        sizes, (right, down) = self.sizes, self.sizes.middle
        rows, columns = self._spots(pose)
        env = torch.arange(len(pose), device=pose.device)[:, None]
        age = state.age[env, rows, columns].float()  # (B,inside)
        age[:, down * sizes.across + right] = 0.0
        code = state.last.to(torch.float32)  # a copy
        moving = self._moving.to(pose.device)
        seen = state.codes[env, rows[:, moving], columns[:, moving]].to(code.dtype)
        grey = torch.full((1, *frame.shape[1:]), GREY, dtype=torch.uint8, device=frame.device)
        unknown = self._coded(grey[:, : sizes.tile, : sizes.tile])[0, 0].to(code.dtype)
        code[:, moving] = torch.where((age < 0)[:, moving, None], unknown, seen)
        marks = torch.cat([known(age)[..., None].expand(-1, -1, GRID**2), self.lasting(state)], 1)
        grid = (code.shape[1] // sizes.across, sizes.across)
        sharp = marks.unflatten(2, (GRID, GRID)).unflatten(1, grid).transpose(2, 3)
        sharp = sharp.flatten(3, 4).flatten(1, 2)[:, None]  # (B,1,h*GRID,w*GRID)
        nothing = sharp[:, :0]
        return View(nothing, nothing, sharp, nothing, torch.zeros_like(sharp), code)

    def write(
        self, state: TileMap, view: View, frame: Tensor, nearness: Tensor, pose: Tensor
    ) -> TileMap:
        """The map after `frame` uint8 (B,H,W,3) was shown at `pose`."""
        return self._written(state._replace(codes=state.codes.clone()), frame, pose)

    def map(self, state: TileMap, pose: Tensor) -> list[NDArray[np.uint8]]:
        """All that was ever in view, from above: a picture (h,w,3) per environment with the player
        in the middle tile; black where nothing was seen."""
        pictures = []
        for env, at in enumerate(pose.round().long().tolist()):
            half = self.sizes.side // 2
            turned = (half - at[1], half - at[0])
            seen = torch.roll(state.age[env] != UNSEEN, turned, (0, 1))
            codes = torch.roll(state.codes[env], turned, (0, 1))
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
            shown = codes[box, box].to(torch.float32)
            grid = (shown.shape[0], shown.shape[1])
            picture = self.code.colour.decode(shown.flatten(0, 1)[None], grid)
            black = ~seen[box, box].repeat_interleave(self.sizes.tile, 0)
            black = black.repeat_interleave(self.sizes.tile, 1)[..., None]
            pictures.append(to_uint8(picture)[0].masked_fill(black, 0).numpy())
        return pictures

    def config(self) -> dict[str, Any]:
        return settings.to_json(self.sizes)

    def tensors(self) -> dict[str, Tensor]:
        """Nothing is known from training."""
        return {}

    @classmethod
    def build(
        cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor], code: Tokenizer
    ) -> "TileMemory":
        return cls(settings.from_json(TileSizes, config, "memory"), code)

    def lasting(self, state: TileMap) -> Tensor:
        """For how long the tiles below the view have looked so (B,R*across,16), as in a view."""
        return lasted(state.since.flatten(1))

    @torch.no_grad()
    def _coded(self, frames: Tensor) -> Tensor:
        """Codes float16 (B,N,C) of frames uint8 (B,H,W,3)."""
        return self.code.encode(to_float(frames)).to(torch.float16)

    def _written(self, state: TileMap, frame: Tensor, pose: Tensor) -> TileMap:
        """Side effect: `state.codes` is changed; all else is new."""
        moving = self._moving.to(pose.device)
        rows, columns = (part[:, moving] for part in self._spots(pose))
        env = torch.arange(len(pose), device=pose.device)[:, None]
        last, below = self._coded(frame), self.sizes.below(frame)
        state.codes[env, rows, columns] = last[:, moving]
        age = torch.where(state.age < 0, state.age, (state.age + 1).clamp_max(OLDEST))
        age[env, rows, columns] = 0
        since = self.sizes.since(state.since, state.below, below)
        return TileMap(state.codes, age, last, below, since)

    def _spots(self, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Rows and columns (B,inside) of the tiles in view in the map."""
        at, sizes = pose.round().long(), self.sizes
        right = torch.arange(sizes.across, device=pose.device) - sizes.middle[0]
        down = torch.arange(sizes.down, device=pose.device) - sizes.middle[1]
        rows = (at[:, 1, None] + down) % sizes.side
        columns = (at[:, 0, None] + right) % sizes.side
        shape = (len(pose), sizes.down, sizes.across)
        return (
            rows[:, :, None].expand(shape).flatten(1), columns[:, None, :].expand(shape).flatten(1),
        )  # fmt: skip
