"""Stage: the world folder, from the parts that the other stages trained, with its start clips."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfd_gym.data import Source
from nfd_gym.data.clip import Clip
from nfd_gym.data.store import ClipWriter, spec_of, writer_for
from nfd_gym.memory import Memory
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train.recipe import RecipeError
from nfd_gym.train.views import DEPTH_ONE
from nfd_gym.world import Drift, World, WorldSettings, save_world
from nfd_gym.world.step import Body

TAIL = 4  # frames of a start clip
EARLY = 120  # it is cut from the first so many frames of a recording
TEST = 5  # every so many start clips are kept for tests


def assemble(
    name: str, source: Source, tokenizer: Tokenizer, denoiser: Denoiser, memory: Memory,
    body: Body, settings: WorldSettings, provenance: dict[str, Any],
) -> World:  # fmt: skip
    """The world of trained parts."""
    return World(
        name=name,
        codec=source.codec,
        tokenizer=tokenizer,
        denoiser=denoiser.eval().requires_grad_(False),
        memory=memory,
        body=body,
        settings=settings,
        provenance=provenance,
        game=spec_of(source),
    )


def export(world: World, source: Source, folder: Path, starts: int, seed: int = 0) -> World:
    """Writes a world with `starts` start clips cut from places of `source` that no edit has
    changed. Returns the world with its drift statistics and splits."""
    random = np.random.default_rng(seed)

    def cuts() -> Iterator[Clip]:
        for index in map(int, random.permutation(len(source.names))):
            clip = source.read(index, 0, min(EARLY, source.lengths[index]))
            stop = min((event.frame for event in clip.events), default=len(clip))
            if stop > TAIL + 1 and clip.depth is not None:
                last = int(random.integers(TAIL, stop))
                yield clip.cut(last - TAIL, last)

    def code(clip: Clip) -> Tensor:
        assert clip.depth is not None
        frames = torch.from_numpy(clip.frames[-1:])
        near = torch.from_numpy(clip.depth[-1:].astype(np.float32) / DEPTH_ONE)
        return world.tokenizer.encode_frames(frames[None], near[None])[0]

    lacking = (
        f"no clip is longer than {TAIL + 1} frames before its first edit; record longer clips."
    )
    return write_world(world, new_starts(folder, source), cuts(), starts, code, lacking)


def new_starts(folder: Path, source: Source, **options: Any) -> ClipWriter:
    """A writer of a world folder's start clips; those of an earlier export are gone."""
    shutil.rmtree(folder / "starts", ignore_errors=True)
    return writer_for(folder / "starts", source, **options)


def write_world(
    world: World, writer: ClipWriter, cuts: Iterator[Clip], starts: int,
    code: Callable[[Clip], Tensor], lacking: str, openings: Iterable[Clip] = (),
) -> World:  # fmt: skip
    """The world in the folder of the writer of its start clips, of which the first `starts` of
    `cuts` are written, then all of `openings`, a split of their own besides; `code` gives the
    latents (1,N,C) of a clip's last frame, `lacking` is said where there are no cuts. Returns the
    world with its drift statistics and splits."""
    splits: dict[str, list[str]] = {"train": [], "test": []}
    latents: list[Tensor] = []
    for kind, clips in (("", islice(cuts, starts)), ("openings", openings)):
        for clip in clips:
            split = "test" if len(latents) % TEST == TEST - 1 else "train"
            name = f"{split}-{len(splits[split]):03d}"
            with writer.clip(name) as file:
                file.extend(clip)
            splits[split].append(name)
            if kind:
                splits.setdefault(kind, []).append(name)
            latents.append(code(clip))
    if not latents:
        raise RecipeError(lacking)
    folder = writer.folder.parent
    done = replace(world, splits=splits, drift=Drift.of(torch.cat(latents)), path=folder)
    save_world(done, folder)
    return done
