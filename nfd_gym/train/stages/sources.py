"""Stage: recorded frames as tokens, and where every token of a coming view was last seen.

A tile map shows each place as it last looked, so the view that a world's `TileMemory` gives is made
of tokens of earlier frames: an address into the recording's own codes for each of them. Training
reads codes and addresses; no picture and no map is made on the way. `again` are the codes of the
decoded codes: what a map holds that was drawn by the world itself. Without a memory the coming view
is the last frame.
"""

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.memory.tiles import OLDEST, UNSEEN, TileSizes
from nfd_gym.model.pixels import to_float, to_uint8
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.progress import Progress

CHUNK = 128  # frames that are coded at once


@torch.no_grad()
def write(folder: Path, tokenizer: Tokenizer, memory: TileSizes | None) -> None:
    """Side effect: codes.npy and again.npy float16 (rows,N,C), sources.npy int32, ages.npy and
    since.npy int16 (rows,N) beside the decoded frames; nothing where they are there."""
    if (folder / "since.npy").exists():
        return
    frames = np.load(folder / "frames.npy", mmap_mode="r", allow_pickle=False)
    poses = np.load(folder / "poses.npy", allow_pickle=False)
    lengths = json.loads((folder / "lengths.json").read_text())
    config = tokenizer.config
    shape = (len(frames), config.tokens, config.latents)
    codes, again = (
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float16, shape)
        for name in ("codes", "again")
    )
    with Progress(len(frames), "frames") as bar:
        for first in range(0, len(frames), CHUNK):
            rows = slice(first, first + CHUNK)
            code = tokenizer.encode(to_float(torch.from_numpy(np.array(frames[rows]))))
            drawn = to_uint8(tokenizer.decode(code)[0])
            codes[rows] = code.numpy()
            again[rows] = tokenizer.encode(to_float(drawn)).numpy()
            bar.add(len(code))
    codes.flush()
    again.flush()
    source, age = addresses(memory, poses, lengths, config.grid)
    np.save(folder / "sources.npy", source)
    np.save(folder / "ages.npy", age)
    np.save(folder / "since.npy", lasting(memory, frames, lengths, config.tokens))


def addresses(
    memory: TileSizes | None, poses: NDArray[np.float32], lengths: list[int], grid: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """For every row of clips of `lengths` and each of its N tokens: the address row * N + token of
    what memory shows there before the frame is known, and its age. UNSEEN where it shows nothing;
    a clip's first row has its own tokens."""
    tokens = grid[0] * grid[1]
    every = np.arange(tokens).reshape(grid)
    firsts = np.cumsum(lengths) - lengths
    last = np.maximum(np.arange(len(poses)) - 1, np.repeat(firsts, lengths))
    source = (last[:, None, None] * tokens + every).astype(np.int32)
    age = np.zeros((len(poses), *grid), np.int16)
    if memory is not None:
        for first, length in zip(firsts.tolist(), lengths, strict=True):
            _remember(memory, poses, slice(first, first + length), source, age)
    return source.reshape(-1, tokens), age.reshape(-1, tokens)


def lasting(
    memory: TileSizes | None, frames: NDArray[np.uint8], lengths: list[int], tokens: int
) -> NDArray[np.int16]:
    """For how many steps each token (rows,N) below the view has looked as it does before the row's
    frame is known, counted from a clip's first row; UNSEEN: all the time. 0 of the map's own."""
    since = np.zeros((len(frames), tokens), np.int16)
    if memory is None:
        return since
    inside = memory.inside
    first = 0
    for length in lengths:
        below = memory.below(torch.from_numpy(np.array(frames[first : first + length])))
        kept = torch.full((1, tokens - inside), UNSEEN, dtype=torch.int16)
        kept = kept.unflatten(1, (-1, memory.across))
        for row in range(length):
            since[first + row, inside:] = kept.flatten().numpy()
            before = below[max(0, row - 1)]
            kept = memory.since(kept, before[None], below[row : row + 1])
        first += length
    return since


def _remember(
    memory: TileSizes, poses: NDArray[np.float32], clip: slice, source: NDArray[np.int32],
    age: NDArray[np.int16],
) -> None:  # fmt: skip
    """Side effect: the addresses and ages (rows,h,w) of a clip's rows are those of its map."""
    side, (x, y), grid = memory.side, memory.middle, source.shape[1:]
    tokens = grid[0] * grid[1]
    every = np.arange(tokens).reshape(grid)
    down, right = np.arange(memory.down) - y, np.arange(memory.across) - x
    inside = np.s_[: memory.down, : memory.across]
    latest = np.full((side, side), UNSEEN, np.int64)
    for row in range(clip.start, clip.stop):
        at_x, at_y = poses[row, :2].round().astype(int) % side
        spots = np.ix_((at_y + down) % side, (at_x + right) % side)
        if row > clip.start:
            shown = latest[spots]
            shown[y, x] = source[row, y, x]
            source[row][inside] = shown
            known = np.minimum(row - 1 - shown // tokens, OLDEST)
            age[row][inside] = np.where(shown < 0, UNSEEN, known)
        under = latest[at_y, at_x]
        latest[spots] = row * tokens + every[inside]
        latest[at_y, at_x] = under
