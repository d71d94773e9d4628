"""Tile maps of recorded clips: what `TileMemory` holds after a frame, without a replay."""

import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.memory.tiles import OLDEST, UNSEEN, TileMap, TileMemory

BACK = 600  # frames of a clip that are looked through at most


def recollect(
    memory: TileMemory, frames: NDArray[np.uint8], poses: NDArray[np.float32],
    begins: NDArray[np.int64], rows: NDArray[np.int64], ahead: int,
) -> TileMap:  # fmt: skip
    """The maps (B) after frames `rows[b]` of clips that begin at `begins[b]`, as far as the next
    `ahead` steps can see; frames uint8 (N,H,W,3), poses (N,2)."""
    side, tile = memory.side, memory.tile
    tiles = np.zeros((len(rows), side, side, tile, tile, 3), np.uint8)
    age = np.full((len(rows), side, side), UNSEEN, np.int16)
    height, width = (length // tile for length in frames.shape[1:3])
    cells = frames.reshape(len(frames), height, tile, width, tile, 3)
    for env, (begin, row) in enumerate(zip(begins, rows, strict=True)):
        latest = latest_rows(memory, poses, int(max(begin, row - BACK)), int(row))
        at = poses[row].round().astype(int)
        for axis, seen, place in ((0, memory.down, at[1]), (1, memory.across, at[0])):
            near = (np.arange(side) - place + side // 2) % side - side // 2
            far = np.abs(near) > seen // 2 + ahead
            latest[far if axis == 0 else np.s_[:, far]] = -1
        down, right = np.nonzero(latest >= 0)
        found = latest[down, right]
        spot = poses[found].round().astype(int)
        y = (down - spot[:, 1] + memory.middle[1]) % side
        x = (right - spot[:, 0] + memory.middle[0]) % side
        tiles[env, down, right] = cells[found, y, :, x]
        age[env, down, right] = np.minimum(row - found, OLDEST)
    return TileMap(torch.from_numpy(tiles), torch.from_numpy(age))


def latest_rows(
    memory: TileMemory, poses: NDArray[np.float32], begin: int, row: int
) -> NDArray[np.int64]:
    """The last of the rows `begin` to `row` in which each tile of the map (S,S) was in view and not
    under the player; -1 where there is none."""
    latest = np.full((memory.side, memory.side), -1, np.int64)
    (x, y), places = memory.middle, poses[begin : row + 1].round().astype(int)
    down, right = np.arange(memory.down) - y, np.arange(memory.across) - x
    for number, (at_x, at_y) in enumerate(places.tolist(), begin):
        under = latest[at_y % memory.side, at_x % memory.side]
        latest[np.ix_((at_y + down) % memory.side, (at_x + right) % memory.side)] = number
        latest[at_y % memory.side, at_x % memory.side] = under
    return latest
