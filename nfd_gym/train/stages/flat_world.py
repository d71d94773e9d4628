"""Stage: the world folder of a flat world, with its start clips."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nfd_gym.data import Source
from nfd_gym.data.clip import Clip
from nfd_gym.train.flat_recipe import Logged
from nfd_gym.train.stages.clips import codes
from nfd_gym.train.stages.world import new_starts, write_world
from nfd_gym.world import World


def export(
    world: World, source: Source, folder: Path, starts: int, begins: Logged = (),
    openings: int = 0, opens: Logged = (), seed: int = 0,
) -> World:  # fmt: skip
    """Writes a world with `starts` start clips, one a recording, from its first half: late frames
    may be ends. In their last row every log named in `begins` has the value given there. Then
    `openings` first frames of recordings whose logs are as `opens` says. Returns the world with its
    drift statistics and splits."""
    random, tail = np.random.default_rng(seed), world.denoiser.config.window + 1

    def tails() -> Iterator[Clip]:
        for index in map(int, random.permutation(len(source.names))):
            half = source.lengths[index] // 2
            if half >= tail:
                last = int(random.integers(tail, half + 1))
                clip = source.read(index, last - tail, last)
                if logged(clip, begins):
                    yield clip

    def firsts() -> Iterator[Clip]:
        for index in map(int, random.permutation(len(source.names))):
            clip = source.read(index, 0, 1)
            if logged(clip, opens):
                yield clip

    def code(clip: Clip) -> Tensor:
        return codes(world.tokenizer, torch.from_numpy(clip.frames[None, -1:]))[0]

    lacking = f"no clip has {2 * tail} frames; record longer ones."
    writer = new_starts(folder, source, crf=0)
    first = islice(firsts(), openings)
    return write_world(world, writer, tails(), starts, code, lacking, first)


def logged(clip: Clip, values: Logged) -> bool:
    """Whether the logs of a clip's last row have these values."""
    return all(np.array_equal(clip.state[name][-1], value) for name, value in values)
