"""Start clips of a world: short stretches of recordings, copied into its folder."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nfd_gym.data import Clip, Source
from nfd_gym.data.store import ClipWriter


def write_starts(
    folder: Path, sources: Sequence[Source], count: int, frames: int
) -> dict[str, list[str]]:
    """Cut start clips of `frames` frames, each from another recording as long as there are enough;
    returns their names by split: the first source gives "train", others "test"."""
    first = sources[0]
    writer = ClipWriter(folder, first.codec, fps=first.fps, size=first.size, crf=20)
    splits: dict[str, list[str]] = {"train": [], "test": []}
    for number, source in enumerate(sources):
        split = "train" if number == 0 else "test"
        for i in range(count if number == 0 else max(1, count // 3)):
            name = f"{split}-{number}-{i:03d}"
            splits[split].append(name)
            if name not in writer:
                writer.write(cut_start(source, i, frames, name))
    return splits


def cut_start(source: Source, index: int, frames: int, name: str) -> Clip:
    """The calmest of a few windows of one recording: nothing is dug in it, the view is level."""
    step = max(1, len(source.names) // 24)
    clip = (index * step) % len(source.names)
    random = np.random.Generator(np.random.Philox(key=[index, 0x57A27]))
    last = source.lengths[clip] - frames
    best: tuple[float, Clip] | None = None
    for start in random.integers(0, max(1, last), size=6):
        part = source.read(clip, int(start), int(start) + frames)
        tilt = 0.0 if part.pitch is None else float(np.abs(part.pitch).max())
        score = 100.0 * len(part.events) + tilt - float(part.frames[-1].std()) / 4
        if best is None or score < best[0]:
            best = score, part
    assert best is not None
    return replace(best[1], name=name)
