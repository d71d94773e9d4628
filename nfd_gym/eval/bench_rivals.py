"""`nfd-gym bench rivals`: worlds of one game in one table, token by token or by diffusion.

An autoregressive world is decoded in raster order, along diagonals and in parallel; a diffusion
world is sampled in 18, 4, 2 and 1 steps, and in as few as 4 with speculation: several frames drawn
together where the action is likely to be held. All on one thread of the eager engine.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nfd_gym.baselines.autoregressive import Autoregressive
from nfd_gym.baselines.schedules import passes
from nfd_gym.data import Source, open_source
from nfd_gym.diffusion.sample import evaluations
from nfd_gym.eval import bench_table
from nfd_gym.eval.crafter import fits
from nfd_gym.eval.effects import effect_table
from nfd_gym.eval.frechet import frechet, latent_features
from nfd_gym.eval.metrics import psnr
from nfd_gym.eval.rollout import Excerpt, cut, dreamt
from nfd_gym.games.crafter.readings import HudReader
from nfd_gym.games.crafter.tiles import TileReader
from nfd_gym.runtime.open_world import open_world
from nfd_gym.runtime.session import Session
from nfd_gym.world import World, WorldSettings

STEPS = (18, 4, 2, 1)
SPECULATIVE = 4  # steps at most of the row with speculation
TOP_P = 0.8  # MineWorld's
DECODINGS = (
    ("raster", 1, 1.0), ("raster", 1, TOP_P), ("diagonal", 2, TOP_P), ("diagonal", 1, TOP_P),
    ("parallel", 1, TOP_P),
)  # fmt: skip
SPANS = ((1, 16), (17, 64))  # frames of free runs whose Frechet distance is taken
TIMED = 20  # steps

COLUMNS = [
    "world", "sampling", "weights, millions", "minutes", "passes a frame", "ms a frame",
    "one step dB", "frame 16 dB", "frame 64 dB", "Frechet 1-16", "Frechet 17-64",
    "F1 of steps", "F1 of all effects", "nothing, rightly",
]  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--worlds", nargs="+", required=True, help="world folders or shipped names")
    parser.add_argument("--data", type=Path, required=True, help="recordings that none was shown")
    parser.add_argument("--runs", type=int, default=32, help="free runs (default 32)")
    parser.add_argument("--tries", type=int, default=40, help="of each effect (default 40)")
    parser.add_argument("--name", default="rivals", help="of the published table (default rivals)")
    bench_table.add_output(parser)


def main(args: argparse.Namespace) -> int:
    torch.set_num_threads(1)
    rows = []
    for name in args.worlds:
        world = open_world(name)
        source = open_source(args.data, codec=world.codec)
        for sampling, passes_, chosen in variants(world):
            rows.append(row(chosen, sampling, passes_, source, args.runs, args.tries))
            print(bench_table.table(COLUMNS, rows[-1:]).splitlines()[-1], flush=True)
        if not isinstance(world.denoiser, Autoregressive):
            rows.append(speculative_row(world, source, args.runs))
            print(bench_table.table(COLUMNS, rows[-1:]).splitlines()[-1], flush=True)
    rows += controls(open_world(args.worlds[0]), source, args.runs)
    bench_table.report(args.name, COLUMNS, rows, args)
    return 0


def variants(world: World) -> Iterator[tuple[str, int, World]]:
    """(what it is called, passes through the network a frame, the world that samples so)."""
    net: Any = world.denoiser
    if isinstance(net, Autoregressive):
        for decoding, lag, top_p in DECODINGS:
            sizes = replace(net.config, decoding=decoding, lag=lag, top_p=top_p)
            chosen: Any = Autoregressive(sizes).eval().requires_grad_(False)
            chosen.load_state_dict(net.state_dict())
            count = len(passes(decoding, sizes.tokens_h, sizes.tokens_w, lag)) + 1
            name = f"{decoding}, lag {lag}" if decoding == "diagonal" else decoding
            yield f"{name}, top-p {top_p:g}", count, replace(world, denoiser=chosen)
        return
    own = world.settings
    most = len(own.trained) or max(STEPS)
    if len(own.sigmas) not in STEPS:
        yield f"{own.method}, {len(own.sigmas)} steps of its own", passes_of(own), world
    for steps in STEPS:
        if steps <= most:
            how = own.with_steps(steps)
            yield f"{how.method}, {steps} steps", passes_of(how), replace(world, settings=how)


def passes_of(how: WorldSettings) -> int:
    """Passes through the network a frame."""
    return evaluations(how.method, len(how.sigmas)) + (how.context == "exact")


def row(
    world: World, sampling: str, count: int, source: Source, runs: int, tries: int
) -> list[Any]:
    """All figures of one world sampled in one way."""
    context = world.denoiser.config.window + 1
    one = cut(source, 4 * runs, context, 1)
    free = cut(source, runs, context, SPANS[-1][1])
    next_frame, made = dreamt(world, one)[:, 0], dreamt(world, free)
    weights = sum(p.numel() for p in world.denoiser.parameters()) / 1e6
    out: list[Any] = [
        world.name, sampling, weights, world.provenance.get("minutes"), count,
        milliseconds(world, free), float(psnr(next_frame, one.real[:, 0]).mean()),
    ]  # fmt: skip
    out += [float(psnr(made[:, i - 1], free.real[:, i - 1]).mean()) for i in (16, 64)]
    out += [_distance(world, made, free, first, last) for first, last in SPANS]
    return out + effects(world, source, tries)


def speculative_row(world: World, source: Source, runs: int) -> list[Any]:
    """Free runs, one after the other, with frames drawn jointly. Single steps are those of the row
    without speculation."""
    context = world.denoiser.config.window + 1
    steps = min(SPECULATIVE, len(world.settings.trained) or SPECULATIVE)
    free = cut(source, runs, context, SPANS[-1][1])
    session = Session(world, engine="eager", steps=steps, speculate="parallel")
    made, spent, drawn, hits = [], 0.0, 0, 0
    for lane in range(len(free.frames)):
        one = free.rows(np.arange(lane, lane + 1))
        given = one.span(0, context, context)
        seeds = np.full(1, lane, np.int64)
        session.reset(given.frames, given.actions, given.depth, given.poses, seeds)
        started = time.perf_counter()
        made.append([session.step(one.actions[:, context + i])[0] for i in range(free.horizon)])
        spent += time.perf_counter() - started
        drawn, hits = drawn + session.speculation["drawn"], hits + session.speculation["hits"]
    session.close()
    frames, count = np.array(made), len(made) * free.horizon
    name = f"{steps} steps, speculation, {hits / count:.0%} of frames drawn early"
    per_frame = passes_of(world.settings.with_steps(steps))
    out: list[Any] = [
        world.name, name, sum(p.numel() for p in world.denoiser.parameters()) / 1e6,
        world.provenance.get("minutes"), per_frame * drawn / count, 1e3 * spent / count, None,
    ]  # fmt: skip
    out += [float(psnr(frames[:, i - 1], free.real[:, i - 1]).mean()) for i in (16, 64)]
    out += [_distance(world, frames, free, first, last) for first, last in SPANS]
    return [*out, None, None, None]


def effects(world: World, source: Source, tries: int) -> list[Any]:
    """F1 of steps, mean F1 over all kinds of effect, share of failures that stay without one."""
    if not fits(world):
        return [None, None, None]
    table = effect_table(world, source, tries, "eager", HudReader.from_game(), TileReader())
    found = {verb: (f1, nothing) for verb, _, _, _, _, f1, nothing in table["rows"]}
    nothings = [nothing for _, nothing in found.values() if nothing is not None]
    mean = float(np.mean([f1 for f1, _ in found.values()]))
    return [found["move"][0], mean, float(np.mean(nothings))]


def milliseconds(world: World, free: Excerpt) -> float:
    """Median of a step of one environment."""
    session, first = Session(world, engine="eager"), free.rows(np.arange(1))
    given = first.span(0, first.context, first.context)
    session.reset(given.frames, given.actions, given.depth, given.poses, np.zeros(1, np.int64))
    spent = []
    for i in range(TIMED):
        started = time.perf_counter()
        session.step(first.actions[:, first.context + i])
        spent.append(1e3 * (time.perf_counter() - started))
    session.close()
    return float(np.median(spent))


def _distance(world: World, made: Any, real: Excerpt, first: int, last: int) -> float:
    one, other = (
        latent_features(world.tokenizer, frames[:, first - 1 : last].reshape(-1, *frames.shape[2:]))
        for frames in (made, real.real)
    )
    return frechet(one, other)


def controls(world: World, source: Source, runs: int) -> list[list[Any]]:
    """The last frame repeated, and the Frechet distance of recorded stretches from others."""
    context = world.denoiser.config.window + 1
    one, free = cut(source, 4 * runs, context, 1), cut(source, runs, context, SPANS[-1][1])
    copied = np.repeat(free.last[:, None], free.horizon, 1)
    copies = [float(psnr(one.last, one.real[:, 0]).mean())]
    copies += [float(psnr(copied[:, 0], free.real[:, i - 1]).mean()) for i in (16, 64)]
    copies += [_distance(world, copied, free, first, last) for first, last in SPANS]
    more = cut(source, 2 * runs, context, SPANS[-1][1])
    half, other = more.rows(np.arange(0, 2 * runs, 2)), more.rows(np.arange(1, 2 * runs, 2))
    distances = [_distance(world, half.real, other, first, last) for first, last in SPANS]
    return [
        ["last frame", "repeated", *[None] * 4, *copies, None, None, None],
        ["recordings", "other stretches", *[None] * 7, *distances, None, None, None],
    ]
