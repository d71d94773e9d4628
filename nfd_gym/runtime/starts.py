"""Where an episode begins: the shipped start clips of a world."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.data import Source
from nfd_gym.runtime.drift import Drift
from nfd_gym.runtime.resize import resize
from nfd_gym.world import WorldModel

METER_CLIPS, METER_FRAMES = 24, 4  # what the drift meter takes for ordinary: clips, frames of each


@dataclass(frozen=True)
class Start:
    """The tail of a clip in the world's size."""

    frames: NDArray[np.uint8]  # (T, H, W, 3)
    actions: NDArray[np.float32]  # (T, A), actions[i] produced frames[i]
    pitch: NDArray[np.float32]  # (T,) degrees


class Starts:
    """Start clips `first` .. `first + count - 1` of a world."""

    def __init__(self, world: WorldModel, first: int = 0, count: int | None = None) -> None:
        self.world, self.tail = world, world.denoiser.config.window + 1
        self._first, self._count = first, count
        self._source: Source | None = None
        self._read: dict[int, Start] = {}

    def draw(self, rng: np.random.Generator) -> int:
        """The index of a random start clip."""
        first, count = self._range()
        return int(rng.integers(first, first + count))

    def clip(self, index: int) -> Start:
        """Start clip `index`, read once."""
        source = self._open()
        if not 0 <= index < len(source.names):
            raise ValueError(
                f"options['start'] must be from 0 to {len(source.names) - 1}, got {index}."
            )
        if index not in self._read:
            length = source.lengths[index]
            clip = source.read(index, max(0, length - self.tail), length)
            pitch = np.zeros(len(clip), np.float32) if clip.pitch is None else clip.pitch
            width, height = self.world.size
            frames = resize(torch.from_numpy(clip.frames), (width, height)).numpy()
            self._read[index] = Start(frames, clip.actions, pitch)
        return self._read[index]

    def meter(self) -> Drift | None:
        """A drift meter made from these clips; None if they hold too few frames."""
        first, count = self._range()
        picks = np.unique(np.linspace(first, first + count - 1, METER_CLIPS).astype(int))
        latents = []
        with torch.no_grad():
            for index in picks:
                frames = torch.from_numpy(self.clip(int(index)).frames)
                some = frames[:: max(1, len(frames) // METER_FRAMES)]
                device = self.world.tokenizer.patch_in.weight.device
                latents.append(self.world.tokenizer.encode(self.world.see(some.to(device))))
        return Drift.of(torch.cat(latents))

    def _open(self) -> Source:
        if self._source is None:
            self._source = self.world.starts()
        return self._source

    def _range(self) -> tuple[int, int]:
        total = len(self._open().names)
        count = total - self._first if self._count is None else self._count
        if self._first < 0 or count < 1 or self._first + count > total:
            raise ValueError(
                f"start_index={self._first}, num_starts={self._count} must lie within the "
                f"{total} start clips of world {self.world.name!r}."
            )
        return self._first, count
