"""`python -m nfd_gym import SRC --out DIR`: recordings of any kind into a store.

With `--game ID` they become recordings of that game: its action space, its picture size, and the
logs that its pictures show. The command line hands the modules that know games in as
`args.recorded`, for this package knows none.
"""

import argparse
import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
    parser.add_argument(
        "--game", metavar="ID", help="of what game the recordings are (PushT-v0: LeRobot's pusht)"
    )
    settings.add_arguments(parser, PRESETS)


def main(args: argparse.Namespace) -> int:
    """Exit code 0 when everything came in, 1 when clips were refused (each is named)."""
    chosen = settings.resolve(args, PRESETS)
    if args.dry_run:
        print(settings.show(chosen))
        return 0
    game = None if args.game is None else find_game(args.game, args.recorded)
    codec = None if game is None else game.SPEC.codec
    source = open_source(folder_of(args.source), chosen.kind, codec=codec)
    added, skipped, refused = import_source(source, Path(args.out), chosen, game)
    print(f"{args.out}: {added} clips added, {skipped} were there already, {len(refused)} refused")
    for reason in refused:
        print(f"refused: {reason}", file=sys.stderr)
    return 1 if refused else 0


def find_game(name: str, recorded: Mapping[str, str]) -> Any:
    """The module that knows a game: `SPEC`, and `logs(frames)` that its pictures show."""
    if name not in recorded:
        raise DataError(f"--game {name}: games that are known are {', '.join(sorted(recorded))}.")
    return importlib.import_module(recorded[name])


def import_source(
    source: Source, out: Path, chosen: ImportSettings, game: Any = None
) -> tuple[int, int, list[str]]:
    """Side effect: fills the store. Returns clips added, skipped and the reasons of refusals.

    A bad recording is refused alone; the others come in. Run again to continue where it stopped.
    """
    height, width = source.size if game is None else game.SPEC.size[::-1]
    size = (chosen.height or height, chosen.width or width)
    spec = None if game is None else game.SPEC.to_json()
    writer = writer_for(out, source, size, spec, crf=chosen.crf, gop=chosen.gop)
    added, skipped, refused = 0, 0, []
    with Progress(sum(source.lengths), "frames") as bar:
        for index, name in enumerate(source.names):
            safe = name.replace("/", "-")
            if safe in writer:
                skipped += 1
                bar.add(source.lengths[index])
                continue
            try:
                copy_clip(source, index, writer, safe, bar, game)
                added += 1
            except RefusedClip as error:
                refused.append(str(error))
    return added, skipped, refused


class RefusedClip(DataError):
    """One recording cannot be read; the next one may."""


def copy_clip(
    source: Source, index: int, writer: ClipWriter, name: str, bar: Progress, game: Any = None
) -> None:
    """Side effect: writes one clip, a piece at a time, so that its length does not matter."""
    length = source.lengths[index]
    with writer.clip(name) as file:
        for start in range(0, length, STEP):
            try:
                clip = source.read(index, start, min(length, start + STEP))
                frames = resize(clip.frames, writer.size)
            except DataError as error:
                raise RefusedClip(str(error)) from error
            shown = {} if game is None else game.logs(frames)
            file.extend(replace(clip, frames=frames, state={**shown, **clip.state}))
            bar.add(len(clip))
