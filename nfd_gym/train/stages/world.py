"""Stage: the world folder, from the parts that the other stages trained, with its start clips."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nfd_gym.data import Source
from nfd_gym.data.store import spec_of, writer_for
from nfd_gym.memory import Memory
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.eye import EyeBody
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train.recipe import RecipeError
from nfd_gym.train.views import DEPTH_ONE
from nfd_gym.world import Drift, World, WorldSettings, save_world

TAIL = 4  # frames of a start clip
EARLY = 120  # it is cut from the first so many frames of a recording
TEST = 5  # every so many start clips are kept for tests


def assemble(
    name: str, source: Source, tokenizer: Tokenizer, denoiser: Denoiser, memory: Memory,
    body: EyeBody, settings: WorldSettings, provenance: dict[str, Any],
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
    chosen = random.permutation(len(source.names))
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "starts", ignore_errors=True)  # of an earlier export
    writer = writer_for(folder / "starts", source)
    splits: dict[str, list[str]] = {"train": [], "test": []}
    latents: list[torch.Tensor] = []
    for index in map(int, chosen):
        if len(latents) == starts:
            break
        clip = source.read(index, 0, min(EARLY, source.lengths[index]))
        stop = min((event.frame for event in clip.events), default=len(clip))
        if stop <= TAIL + 1 or clip.depth is None:
            continue
        last = int(random.integers(TAIL, stop))
        cut = clip.cut(last - TAIL, last)
        split = "test" if len(latents) % TEST == TEST - 1 else "train"
        name = f"{split}-{len(splits[split]):03d}"
        with writer.clip(name) as file:
            file.extend(cut)
        splits[split].append(name)
        frames = torch.from_numpy(cut.frames[-1:])
        near = torch.from_numpy(clip.depth[last - 1 : last].astype(np.float32) / DEPTH_ONE)
        latents.append(world.tokenizer.encode_frames(frames[None], near[None])[0])
    close = getattr(writer, "close", None)
    if close is not None:
        close()
    if not latents:
        raise RecipeError(
            f"no clip is longer than {TAIL + 1} frames before its first edit; record longer clips."
        )
    done = replace(world, splits=splits, drift=Drift.of(torch.cat(latents)), path=folder)
    save_world(done, folder)
    return done
