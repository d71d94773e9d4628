"""Stage: all frames of the recordings in one array, and clips drawn from it at random."""

import json
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.data import DataError, Source
from nfd_gym.data.clip import Clip
from nfd_gym.memory import Memory, MemoryState

Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class ClipBatch:
    """Clips of T + 1 frames; `actions[:, i]` produced `frames[:, i]`."""

    frames: Tensor  # uint8 (B,T+1,H,W,3)
    actions: Tensor  # (B,T+1,A)
    poses: Tensor  # (B,T+1,P)
    memory: MemoryState  # after the first frame

    def __len__(self) -> int:
        """Frames that are predicted."""
        return self.frames.shape[0] * (self.frames.shape[1] - 1)


@dataclass(frozen=True, kw_only=True)
class PoseLog:
    """Where recordings keep the pose: logs of their rows side by side, times `scale` plus
    `shift`."""

    names: tuple[str, ...]
    scale: tuple[float, ...]
    shift: tuple[float, ...]

    def of(self, clip: Clip) -> NDArray[np.float32]:
        """Poses (T,P) of a clip."""
        for name in self.names:
            if name not in clip.state:
                raise DataError(f"{clip.name}: its rows have no {name!r}; record it again.")
        logs = np.column_stack([clip.state[name] for name in self.names])
        return np.asarray(logs * np.array(self.scale) + self.shift, np.float32)


def decode(
    source: Source, folder: Path, clips: int | None = None, pose: PoseLog | None = None,
    events: str = "", count: int = 0,
) -> None:  # fmt: skip
    """Side effect: frames.npy, actions.npy, poses.npy, lengths.json and events.npy (whether the
    first `count` numbers of the log called `events` rise or fall in a row); again if the recordings
    have grown."""
    lengths = list(source.lengths)[:clips]
    note = folder / "lengths.json"
    if note.exists() and json.loads(note.read_text()) == lengths:
        return
    folder.mkdir(parents=True, exist_ok=True)
    note.unlink(missing_ok=True)
    (height, width), total = source.size, sum(lengths)
    frames = np.lib.format.open_memmap(
        folder / "frames.npy", "w+", np.uint8, (total, height, width, 3)
    )
    actions = np.zeros((total, source.codec.width), np.float32)
    poses = np.zeros((total, 0 if pose is None else len(pose.scale)), np.float32)
    happened = []
    first = 0
    for index, length in enumerate(lengths):
        clip = source.read(index)
        frames[first : first + length] = clip.frames
        actions[first : first + length] = clip.actions
        if pose is not None:
            poses[first : first + length] = pose.of(clip)
        if events:
            happened.append(changes(clip, events, count))
        first += length
    frames.flush()
    np.save(folder / "actions.npy", actions)
    np.save(folder / "poses.npy", poses)
    if events:
        np.save(folder / "events.npy", np.concatenate(happened))
    note.write_text(json.dumps(lengths))


def changes(clip: Clip, log: str, count: int) -> NDArray[np.int8]:
    """Whether the first `count` numbers of a clip's log are larger (1), the same or smaller (-1)
    than in the row before (T,E); the same in the first row."""
    if log not in clip.state:
        raise DataError(f"{clip.name}: its rows have no {log!r}; record it again.")
    numbers = np.asarray(clip.state[log]).reshape(len(clip.frames), -1)[:, :count]
    if numbers.shape[1] < count:
        raise DataError(f"{clip.name}: its log {log!r} has fewer than {count} numbers.")
    return np.sign(np.diff(numbers, axis=0, prepend=numbers[:1])).astype(np.int8)


class RandomClips(Generic[Drawn]):
    """Endless batches of random clips; batch n depends on (seed, n) alone. `drawn` makes one."""

    def __init__(
        self, folder: Path, frames: int, batch: int, seed: int = 0, first: int = 0, rank: int = 0,
        ranks: int = 1,
    ) -> None:  # fmt: skip
        lengths = np.array(json.loads((folder / "lengths.json").read_text()))
        places = np.maximum(0, lengths - frames)  # a clip's own first frame is not predicted
        self.ends, self.firsts = np.cumsum(places), np.cumsum(lengths) - lengths
        self.frames, self.batch = frames, batch
        self.seed, self.number, self.rank, self.ranks = seed, first, rank, ranks
        if not len(places) or not self.ends[-1]:
            raise DataError(f"no clip has more than {frames} frames; record longer ones.")

    def __iter__(self) -> Generator[Drawn]:
        while True:
            address = self.number * self.ranks + self.rank
            self.number += 1
            yield self.drawn(np.random.default_rng(np.random.SeedSequence([self.seed, address])))

    def drawn(self, random: np.random.Generator) -> Drawn:
        """One batch."""
        raise NotImplementedError

    def begins(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Random rows (batch,) that `frames` rows of the same recording follow."""
        return self.row_of(random.integers(self.ends[-1], size=self.batch))

    def row_of(self, place: NDArray[np.int64]) -> NDArray[np.int64]:
        """Rows (n,) of places (n,) among all rows that `frames` rows follow."""
        clip = np.searchsorted(self.ends, place, side="right")
        found: NDArray[np.int64] = self.firsts[clip] + place - np.append(0, self.ends)[clip]
        return found


class ClipLoader(RandomClips[ClipBatch]):
    """Frames, actions and poses, with a memory that holds none of what was shown before."""

    def __init__(self, folder: Path, memory: Memory, *args: int, **kwargs: int) -> None:
        super().__init__(folder, *args, **kwargs)
        self.pictures = np.load(folder / "frames.npy", mmap_mode="r", allow_pickle=False)
        self.actions = np.load(folder / "actions.npy", allow_pickle=False)
        self.poses = np.load(folder / "poses.npy", allow_pickle=False)
        self.memory = memory

    def drawn(self, random: np.random.Generator) -> ClipBatch:
        """One batch."""
        rows = self.begins(random)[:, None] + np.arange(self.frames + 1)
        return ClipBatch(
            torch.from_numpy(self.pictures[rows]),
            torch.from_numpy(self.actions[rows]),
            torch.from_numpy(self.poses[rows]),
            self.memory.start(torch.zeros(0), torch.zeros(0), torch.zeros(0)),
        )
