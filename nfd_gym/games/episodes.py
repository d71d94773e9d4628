"""Episodes of scripted players as a resumable store of clips.

Which player comes next is decided by the frames that are on disk already, so that the shares hold
at any length and an interrupted recording continues exactly as if it had not been interrupted.
"""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nfd_gym.data.cli_record import PRESETS
from nfd_gym.data.clip import DataError, Event, Floats, Frames
from nfd_gym.data.store import ClipWriter
from nfd_gym.games.spec import GameSpec
from nfd_gym.progress import Progress
from nfd_gym.settings import resolve


@dataclass(frozen=True)
class Tick:
    """One frame, the action vector (A,) that produced it, and what is known about it."""

    frame: Frames
    action: Floats
    reward: float | None = None
    events: Sequence[tuple[str, str]] = ()
    state: Mapping[str, Any] = field(default_factory=dict)


class Footage(Protocol):
    """What a game says about its footage: the players with their shares, and one episode."""

    spec: GameSpec
    stem: str  # of the clips' names
    shares: Mapping[str, float]  # player -> share of all frames
    about: Mapping[str, Any]

    def episode(self, player: str, seed: int) -> Iterator[Tick]: ...


def record(
    footage: Footage, out: str | Path, frames: int, *, seed: int = 0, crf: int = 0, gop: int = 10
) -> ClipWriter:
    """Side effect: adds whole episodes to the store until it holds `frames` frames."""
    if frames < 2:
        raise DataError(f"--frames {frames}: at least 2 frames are needed.")
    width, height = footage.spec.size
    writer = ClipWriter(
        out,
        footage.spec.codec,
        fps=footage.spec.fps,
        size=(height, width),
        crf=crf,
        gop=gop,
        spec=footage.spec.to_json(),
        about={"env": footage.spec.id, **footage.about},
    )
    done = frames_by_player(writer)
    number = seed
    with Progress(frames, "frames") as bar:
        bar.add(min(frames, sum(done.values())))
        while (left := frames - sum(done.values())) > 0:
            name = f"{footage.stem}-{number:06d}"
            if name not in writer:
                player = next_player(footage.shares, done)
                length = 0
                with writer.clip(name, {"player": player, "seed": number}) as clip:
                    for tick in footage.episode(player, number):
                        clip.add(
                            tick.frame,
                            tick.action,
                            reward=tick.reward,
                            events=[Event(clip.frames, kind, what) for kind, what in tick.events],
                            state=tick.state,
                        )
                        length = clip.frames
                        bar.add()
                        if length == left:
                            break
                done[player] = done.get(player, 0) + length
            number += 1
    return writer


def frames_by_player(writer: ClipWriter) -> dict[str, int]:
    """Frames on disk of each player."""
    counts: dict[str, int] = {}
    for entry in writer.entries.values():
        player = str(entry.get("player"))
        counts[player] = counts.get(player, 0) + int(entry["frames"])
    return counts


def next_player(shares: Mapping[str, float], done: Mapping[str, int]) -> str:
    """The player whose share of the frames lags behind most."""
    return min(shares, key=lambda player: done.get(player, 0) / shares[player])


def run(footage: Footage, args: argparse.Namespace) -> int:
    """`record --env ID --out DIR --frames N`: lossless unless a setting says otherwise."""
    chosen = resolve(args, PRESETS)
    begin, crf = time.monotonic(), chosen.crf or 0
    frames = args.frames if args.hours is None else round(args.hours * 3600 * footage.spec.fps)
    writer = record(footage, args.out, frames, seed=chosen.seed, crf=crf, gop=chosen.gop)
    seconds, size = time.monotonic() - begin, sum(p.stat().st_size for p in writer.folder.iterdir())
    done = frames_by_player(writer)
    total = sum(done.values())
    mix = ", ".join(f"{player} {100 * count / total:.0f}%" for player, count in done.items())
    print(
        f"{args.out}: {total:,} frames in {len(writer.entries)} clips, {size / total:,.0f} bytes a "
        f"frame; {mix}; this run took {seconds:.0f} s"
    )
    return 0
