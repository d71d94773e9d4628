"""Stage: the world folder of a flat world, with its start clips."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nfd_gym.data import Source
from nfd_gym.data.clip import Clip
from nfd_gym.train.stages.clips import codes
from nfd_gym.train.stages.world import new_starts, write_world
from nfd_gym.world import World


def export(
    world: World, source: Source, folder: Path, starts: int,
    begins: tuple[tuple[str, int], ...] = (), seed: int = 0,
) -> World:  # fmt: skip
    """Writes a world with `starts` start clips, one a recording, from its first half: late frames
    may be ends. In their last row every log named in `begins` has the value given there. Returns
    the world with its drift statistics and splits."""
    random, tail = np.random.default_rng(seed), world.denoiser.config.window + 1

    def cuts() -> Iterator[Clip]:
        for index in map(int, random.permutation(len(source.names))):
            half = source.lengths[index] // 2
            if half >= tail:
                last = int(random.integers(tail, half + 1))
                clip = source.read(index, last - tail, last)
                if all(clip.state[name][-1] == value for name, value in begins):
                    yield clip

    def code(clip: Clip) -> Tensor:
        return codes(world.tokenizer, torch.from_numpy(clip.frames[None, -1:]))[0]

    lacking = f"no clip has {2 * tail} frames; record longer ones."
    return write_world(world, new_starts(folder, source, crf=0), cuts(), starts, code, lacking)
