"""Stage: the world folder of a flat world, with its start clips."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nfd_gym.data import Source
from nfd_gym.data.store import writer_for
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train.recipe import RecipeError
from nfd_gym.train.stages.clips import codes
from nfd_gym.world import Drift, World, WorldSettings, save_world
from nfd_gym.world.step import Body

TEST = 5  # every so many start clips are kept for tests


def assemble(
    name: str, source: Source, tokenizer: Tokenizer, denoiser: Denoiser, body: Body,
    settings: WorldSettings, provenance: dict[str, Any],
) -> World:  # fmt: skip
    """The world of trained parts: no memory."""
    return World(
        name=name,
        codec=source.codec,
        tokenizer=tokenizer,
        denoiser=denoiser.eval().requires_grad_(False),
        body=body,
        settings=settings,
        provenance=provenance,
    )


def export(world: World, source: Source, folder: Path, starts: int, seed: int = 0) -> World:
    """Writes a world with `starts` start clips, one a recording, from its first half: late frames
    may be ends. Returns the world with its drift statistics and splits."""
    random, tail = np.random.default_rng(seed), world.denoiser.config.window + 1
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "starts", ignore_errors=True)  # of an earlier export
    writer = writer_for(folder / "starts", source, crf=0)
    splits: dict[str, list[str]] = {"train": [], "test": []}
    latents: list[torch.Tensor] = []
    for index in map(int, random.permutation(len(source.names))):
        if len(latents) == starts:
            break
        half = source.lengths[index] // 2
        if half < tail:
            continue
        last = int(random.integers(tail, half + 1))
        clip = source.read(index, last - tail, last)
        split = "test" if len(latents) % TEST == TEST - 1 else "train"
        name = f"{split}-{len(splits[split]):03d}"
        with writer.clip(name) as file:
            file.extend(clip)
        splits[split].append(name)
        latents.append(codes(world.tokenizer, torch.from_numpy(clip.frames[None, -1:]))[0])
    if not latents:
        raise RecipeError(f"no clip has {2 * tail} frames; record longer ones.")
    done = replace(world, splits=splits, drift=Drift.of(torch.cat(latents)), path=folder)
    save_world(done, folder)
    return done
