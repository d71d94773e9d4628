"""Loader: training windows as a pure function of (seed, global sample number)."""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nfd_gym.data.clip import DataError, Depth, Event, Floats, Source, event_flags
from nfd_gym.errors import UsageError


@dataclass(frozen=True)
class Batch:
    """B windows of T frames; `actions[:, i]` produced `frames[:, i]`, its rewards and events."""

    frames: NDArray[np.uint8]  # (B, T, H, W, 3)
    actions: Floats  # (B, T, A)
    pitch: Floats  # (B, T) degrees, + looks down; 0 where the recording has none
    rewards: Floats  # (B, T)
    event_flags: dict[str, NDArray[np.bool_]]  # dig, place, chop: (B, T)
    first: int  # global number of the first sample
    clips: NDArray[np.int64]  # (B,) which clip
    starts: NDArray[np.int64]  # (B,) its first frame in that clip
    depth: Depth | None = None  # (B, T, H, W), None where the source has none
    pose: Floats | None = None  # (B, T, 5) x, y, z of the eye, yaw, pitch
    events: tuple[tuple[Event, ...], ...] = ()  # of each lane, `frame` counts in the window

    def __len__(self) -> int:
        return len(self.frames)


class Loader:
    """Endless random windows of a source.

    Sample n starts at a place drawn from Philox(seed, n), uniform over all windows of all clips.
    Batch i of rank r of R begins with sample (i * R + r) * batch: R ranks together see exactly what
    one rank with an R times larger batch sees, and a run resumes at batch `first` without replaying
    anything. Workers are threads (PyAV decodes outside the GIL); their number changes speed only.
    """

    def __init__(
        self,
        source: Source,
        *,
        window: int,
        batch: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        workers: int = 1,
        first: int = 0,
    ) -> None:
        if window < 1 or batch < 1 or workers < 1 or not 0 <= rank < ranks:
            raise UsageError(
                f"window, batch and workers must be at least 1 and 0 <= rank < ranks, got "
                f"{window}, {batch}, {workers}, rank {rank} of {ranks}."
            )
        self.source, self.window, self.batch_size, self.seed = source, window, batch, seed
        self.rank, self.ranks, self.workers, self.first = rank, ranks, workers, first
        windows = np.maximum(0, np.array(source.lengths, np.int64) - window + 1)
        self.ends = np.cumsum(windows)
        if not len(windows) or self.ends[-1] == 0:
            raise DataError(
                f"no clip is {window} frames long, the longest has "
                f"{max(source.lengths, default=0)}; take a smaller window or longer recordings."
            )

    def place(self, sample: int) -> tuple[int, int]:
        """(clip, first frame) of one global sample."""
        key = np.array([self.seed, 0x10AD], np.uint64)
        bits = np.random.Philox(key=key, counter=np.array([0, 0, 0, sample], np.uint64))
        draw = int(np.random.Generator(bits).integers(int(self.ends[-1])))
        clip = int(np.searchsorted(self.ends, draw, side="right"))
        return clip, draw - (int(self.ends[clip - 1]) if clip else 0)

    def batch(self, index: int) -> Batch:
        """Batch number `index` of this rank; the same for the same (seed, index), always."""
        first = (index * self.ranks + self.rank) * self.batch_size
        places = [self.place(first + lane) for lane in range(self.batch_size)]
        clips = [self.source.read(clip, start, start + self.window) for clip, start in places]
        flags = [event_flags(clip.events, self.window) for clip in clips]
        zeros = np.zeros(self.window, np.float32)
        depth = [clip.depth for clip in clips if clip.depth is not None]
        pose = [clip.pose for clip in clips if clip.pose is not None]
        return Batch(
            frames=np.stack([clip.frames for clip in clips]),
            actions=np.stack([clip.actions for clip in clips]),
            pitch=np.stack([zeros if clip.pitch is None else clip.pitch for clip in clips]),
            rewards=np.stack([zeros if clip.rewards is None else clip.rewards for clip in clips]),
            event_flags={kind: np.stack([flag[kind] for flag in flags]) for kind in flags[0]},
            first=first,
            clips=np.array([clip for clip, _ in places], np.int64),
            starts=np.array([start for _, start in places], np.int64),
            depth=np.stack(depth) if len(depth) == len(clips) else None,
            pose=np.stack(pose) if len(pose) == len(clips) else None,
            events=tuple(clip.events for clip in clips),
        )

    def __iter__(self) -> Generator[Batch, None, None]:
        """Batches first, first + 1, ... prepared ahead by the worker threads."""
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="loader")
        ahead: deque[Future[Batch]] = deque()
        index = self.first
        try:
            while True:
                while len(ahead) <= self.workers:
                    ahead.append(pool.submit(self.batch, index))
                    index += 1
                yield ahead.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
