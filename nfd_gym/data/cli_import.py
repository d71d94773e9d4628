"""`python -m nfd_gym import SRC --out DIR`: recordings of any kind into a store."""

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from nfd_gym import settings
from nfd_gym.data.check import STEP, folder_of
from nfd_gym.data.clip import DataError, Source
from nfd_gym.data.sources import open_source
from nfd_gym.data.store import ClipWriter, writer_for
from nfd_gym.data.video import resize
from nfd_gym.progress import Progress


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """How recordings are stored."""

    height: int | None = None  # None: as recorded
    width: int | None = None
    crf: int | None = None  # x264 quality, 0 is lossless; None: 18, with depth 14
    gop: int = 10  # frames from one key frame to the next
    kind: str | None = None  # vpt npz minari lerobot minerl; None: found by itself


PRESETS = {
    "as-recorded": ImportSettings(),
    "small": ImportSettings(height=112, width=192),
    "paper": ImportSettings(height=224, width=384),
    "lossless": ImportSettings(crf=0),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", help="a folder of recordings (VPT, npz, Minari, LeRobot, MineRL)")
    parser.add_argument("--out", required=True, help="the store to create or continue")
    settings.add_arguments(parser, PRESETS)


def main(args: argparse.Namespace) -> int:
    """Exit code 0 when everything came in, 1 when clips were refused (each is named)."""
    chosen = settings.resolve(args, PRESETS)
    if args.dry_run:
        print(settings.show(chosen))
        return 0
    source = open_source(folder_of(args.source), chosen.kind)
    added, skipped, refused = import_source(source, Path(args.out), chosen)
    print(f"{args.out}: {added} clips added, {skipped} were there already, {len(refused)} refused")
    for reason in refused:
        print(f"refused: {reason}", file=sys.stderr)
    return 1 if refused else 0


def import_source(source: Source, out: Path, chosen: ImportSettings) -> tuple[int, int, list[str]]:
    """Side effect: fills the store. Returns clips added, skipped and the reasons of refusals.

    A bad recording is refused alone; the others come in. Run again to continue where it stopped.
    """
    size = (chosen.height or source.size[0], chosen.width or source.size[1])
    writer = writer_for(out, source, size, crf=chosen.crf, gop=chosen.gop)
    added, skipped, refused = 0, 0, []
    with Progress(sum(source.lengths), "frames") as bar:
        for index, name in enumerate(source.names):
            safe = name.replace("/", "-")
            if safe in writer:
                skipped += 1
                bar.add(source.lengths[index])
                continue
            try:
                copy_clip(source, index, writer, safe, bar)
                added += 1
            except RefusedClip as error:
                refused.append(str(error))
    return added, skipped, refused


class RefusedClip(DataError):
    """One recording cannot be read; the next one may."""


def copy_clip(source: Source, index: int, writer: ClipWriter, name: str, bar: Progress) -> None:
    """Side effect: writes one clip, a piece at a time, so that its length does not matter."""
    length = source.lengths[index]
    with writer.clip(name) as file:
        for start in range(0, length, STEP):
            try:
                clip = source.read(index, start, min(length, start + STEP))
                frames = resize(clip.frames, writer.size)
            except DataError as error:
                raise RefusedClip(str(error)) from error
            file.extend(replace(clip, frames=frames))
            bar.add(len(clip))
