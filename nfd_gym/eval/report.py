"""`nfd-gym eval`: does a world with a camera stay? Free runs and probes beside the game.

Free runs replay recorded actions in the dream from a recording's first frame. The rows beside them:
the memory's view at the game's own pose without the net, and the first frame repeated. Worlds
without a camera: eval/flat.py.
"""

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nfd_gym.actions import KeysAndMouse
from nfd_gym.data import Source, open_source
from nfd_gym.eval import flat, results
from nfd_gym.eval.frechet import frechet, latent_features
from nfd_gym.eval.metrics import psnr
from nfd_gym.eval.places import places_table
from nfd_gym.eval.staying import (
    NEAR,
    Replay,
    back,
    drift,
    edited_region,
    free_runs,
    replay,
)
from nfd_gym.eval.walking import walking, walls
from nfd_gym.model.pixels import to_uint8
from nfd_gym.runtime.open_world import open_world
from nfd_gym.shipped import DEFAULT_WORLD
from nfd_gym.world import World

AT = (1, 16, 64, 256, 500, 1000)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--world", default=DEFAULT_WORLD, help="a shipped world or a folder")
    parser.add_argument("--data", type=Path, metavar="DIR", help="held-out recordings: free runs")
    parser.add_argument(
        "--probes", type=Path, metavar="DIR", help="recorded probes (record --probes)"
    )
    parser.add_argument(
        "--places", type=int, metavar="N", help="begin at N places, beside the real game"
    )
    parser.add_argument("--runs", type=int, default=12, help="free runs (default 12)")
    parser.add_argument("--frames", type=int, default=500, help="frames of a run (default 500)")
    parser.add_argument("--no-atlas", action="store_true", help="the dream without its atlas")
    parser.add_argument("--engine", default="auto", help="as in gym.make (default auto)")
    results.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Prints the tables. Side effect: stores them where --publish or --results asks for it."""
    world = open_world(args.world)
    if not world.has_depth:
        return flat.main(args, world)
    command, suffix = f"nfd-gym eval --world {world.name}", ""
    if args.no_atlas:
        world, command, suffix = world.without_atlas(), f"{command} --no-atlas", "-no-atlas"
    if args.data is not None:
        source = open_source(args.data, codec=world.codec)
        table = free_table(world, source, args.runs, args.frames, args.engine)
        told = f"{command} --data {args.data} --runs {args.runs} --frames {args.frames}"
        print(results.markdown(results.keep(args, f"free-runs{suffix}", {"table": table}, told)))
        if not args.no_atlas:
            table = body_table(world, source, args.runs)
            told = f"{command} --data {args.data} --runs {args.runs}"
            print(results.markdown(results.keep(args, "body", {"table": table}, told)))
    if args.places is not None:
        table = places_table(world, args.places, args.engine)
        told = f"{command} --places {args.places}"
        print(results.markdown(results.keep(args, f"places{suffix}", {"table": table}, told)))
    if args.probes is not None:
        probes = open_source(args.probes, codec=world.codec)
        table = probe_table(world, probes, args.engine)
        told = f"{command} --probes {args.probes}"
        print(results.markdown(results.keep(args, f"probes{suffix}", {"table": table}, told)))
    return 0


def free_table(world: World, source: Source, runs: int, frames: int, engine: str) -> dict[str, Any]:
    """PSNR by frame: dream, where its eye is within a quarter block of the game's, memory alone."""
    made, alone, still = list[Replay](), [], []
    for index in range(min(runs, len(source.names))):
        clip = source.read(index)
        made.append(replay(world, clip, frames, engine))
        alone.append(memory_alone(world, made[-1]))
        first = np.repeat(clip.frames[:1], len(made[-1].frames), 0)
        still.append(psnr(first, made[-1].clip.frames))
    rows, last = [], 0
    for frame, figures in free_runs(made, AT):
        near = slice(max(1, frame - 4), frame + 4)
        long = [k for k, run in enumerate(made) if len(run.frames) > frame + 4]
        rows.append([
            frame, figures["runs"], figures["db"], figures["db_where_pose_agrees"],
            figures["pose_agrees"], float(np.mean([alone[k][near].mean() for k in long])),
            float(np.mean([still[k][near].mean() for k in long])), figures["edge_ratio"],
            *distances(world, [made[k] for k in long], last + 1, frame),
        ])  # fmt: skip
        last = frame
    columns = [
        "frame", "runs", "dream dB", f"dB, eye within {NEAR} m", "share within",
        "memory at the game's pose, no net, dB", "first frame dB", "edges / real",
        "Frechet since the row above", "Frechet of the recordings",
    ]  # fmt: skip
    return {"columns": columns, "rows": filled(rows)}


def distances(world: World, runs: list[Replay], first: int, last: int) -> tuple[float, float]:
    """Frechet distance of frames first..last of every second run from those of the recordings of
    the other runs: dreamt, and as recorded."""
    if len(runs) < 4 or last - first < 3:
        return math.nan, math.nan
    span = slice(first, last + 1)
    dreamt, same, others = (
        latent_features(world.tokenizer, np.concatenate(frames))
        for frames in (
            [run.frames[span] for run in runs[::2]],
            [run.clip.frames[span] for run in runs[::2]],
            [run.clip.frames[span] for run in runs[1::2]],
        )
    )
    return frechet(dreamt, others), frechet(same, others)


def filled(rows: list[list[Any]]) -> list[list[Any]]:
    """Rows of a table in which a figure that nothing was measured for is an empty cell."""
    return [
        ["" if isinstance(cell, float) and math.isnan(cell) else cell for cell in row]
        for row in rows
    ]


def body_table(world: World, source: Source, clips: int) -> dict[str, Any]:
    """How the body walks, jumps and meets walls beside the game: a row per figure."""
    chosen = [source.read(index) for index in range(min(clips, len(source.names)))]
    assert isinstance(world.codec, KeysAndMouse)
    forward = world.codec.vector(["forward"])
    figures = walking(world, chosen) | walls(world, chosen, forward)
    rows: list[list[Any]] = [[name, value] for name, value in figures.items()]
    return {"columns": ["figure", "value"], "rows": filled(rows)}


@torch.no_grad()
def memory_alone(world: World, run: Replay) -> np.ndarray[Any, np.dtype[np.float32]]:
    """dB of the memory's view at the game's pose (T,), edits as the dream made them; no net."""
    memory, clip = world.memory, run.clip
    assert clip.pose is not None and clip.depth is not None
    frames = torch.from_numpy(clip.frames)
    near = torch.from_numpy(clip.depth[:1].astype(np.float32) / 16384)
    poses = torch.from_numpy(clip.pose)
    state = memory.start(frames[None, :1], near[None], poses[None, :1])
    shown = [clip.frames[0]]
    for t in range(1, len(clip)):
        row = torch.from_numpy(run.edits[t])[None]
        state = memory.edit(state, type(state.now)(row[:, 0], row[:, 1:]))
        view = memory.read(state, frames[t - 1][None], poses[t : t + 1])
        shown.append(to_uint8(view.colour)[0].numpy())
    return psnr(np.stack(shown), clip.frames)


def probe_table(world: World, probes: Source, engine: str) -> dict[str, Any]:
    """One row a probe: what the name asks, in the figures that fit it."""
    columns = [
        "probe", "back dB", "away dB", "eye off m", "edits as in the game", "edit at once dB",
        "edit at the end dB", "largest 8x8 drift",
    ]  # fmt: skip
    rows: list[list[Any]] = []
    for index, name in enumerate(probes.names):
        run = replay(world, probes.read(index), engine=engine)
        figures = back(run)
        if run.clip.events:
            figures |= edited_region(run)
        if "stand" in name:
            figures |= drift(run)
        keys = ("back_db", "away_db", "pose_error_m", "same_edits", "at_once_db", "at_end_db",
                "largest_drift")  # fmt: skip
        rows.append([name, *(figures.get(key, "") for key in keys)])
    return {"columns": columns, "rows": filled(rows)}
