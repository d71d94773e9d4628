"""`python -m nfd_gym train world`: runs, start clips and provenance become a world folder."""

import argparse
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nfd_gym.data import Clip, Source, open_source
from nfd_gym.data.store import ClipWriter
from nfd_gym.train import runs
from nfd_gym.world import WorldModel, WorldSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    run: Any = {"type": Path, "required": True, "metavar": "RUN"}
    parser.add_argument("--tokenizer", help="a run of `train tokenizer` or `train decoder`", **run)
    parser.add_argument("--denoiser", help="a run of `train denoiser` or `distill`", **run)
    parser.add_argument(
        "--starts",
        type=Path,
        action="append",
        required=True,
        metavar="DIR",
        help="recordings to cut start clips from: the first gives the split 'train', others 'test'",
    )
    parser.add_argument("--count", type=int, default=24, help="start clips from the first folder")
    parser.add_argument("--name", help="default: the name of --out")
    parser.add_argument("--sigmas", default="1.0", help="noise levels of the steps: 1.0 or 1.0,0.6")
    parser.add_argument("--temperature", type=float, default=1.0, help="scale of the first noise")
    parser.add_argument("--licence", default="", help="of the footage, for the card")
    parser.add_argument("--out", type=Path, required=True)


def main(args: argparse.Namespace) -> int:
    tokenizer = runs.load_tokenizer(args.tokenizer)
    denoiser, config = runs.load_denoiser(args.denoiser)
    sources = [open_source(folder) for folder in args.starts]
    splits = write_starts(args.out / "starts", sources, args.count, config.model.window * 2)
    world = WorldModel(
        name=args.name or args.out.name,
        codec=sources[0].codec,
        tokenizer=tokenizer,
        denoiser=denoiser.eval(),
        settings=WorldSettings(
            fps=sources[0].fps,
            sigmas=tuple(float(sigma) for sigma in args.sigmas.split(",")),
            temperature=args.temperature,
        ),
        splits=splits,
        provenance={
            "footage": [folder.name for folder in args.starts],
            "licence": args.licence,
            "runs": {run.name: runs.story(run) for run in (args.tokenizer, args.denoiser)},
            "commit": _commit(),
        },
    )
    world.save(args.out)
    clips = sum(len(names) for names in splits.values())
    mark = WorldModel.load(args.out).fingerprint
    print(f"{args.out}: {clips} start clips, fingerprint {mark}")
    return 0


def write_starts(
    folder: Path, sources: Sequence[Source], count: int, frames: int
) -> dict[str, list[str]]:
    """Cut start clips of `frames` frames, each from another recording as long as there are enough;
    returns their names by split."""
    first = sources[0]
    writer = ClipWriter(folder, first.codec, fps=first.fps, size=first.size, crf=20)
    splits: dict[str, list[str]] = {"train": [], "test": []}
    for number, source in enumerate(sources):
        split = "train" if number == 0 else "test"
        for i in range(count if number == 0 else max(1, count // 3)):
            name = f"{split}-{number}-{i:03d}"
            splits[split].append(name)
            if name not in writer:
                writer.write(_cut(source, i, frames, name))
    return splits


def _cut(source: Source, index: int, frames: int, name: str) -> Clip:
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


def _commit() -> str:
    """The commit that the code was at; empty outside a repository."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
