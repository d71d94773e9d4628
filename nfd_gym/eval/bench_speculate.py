"""`python -m nfd_gym bench speculate`: what guessing costs and what it brings.

The caller plays recorded actions (`--data`, else the world's own start clips over and over). Three
tables: latency at a fixed tick rate, discards and speed of the parallel mode against K, and how
much frames of the parallel mode differ from frames drawn one by one from the same states.
"""

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.data import Source, open_source
from nfd_gym.errors import UsageError
from nfd_gym.eval.bench_table import add_output, percentiles, report
from nfd_gym.runtime.open_world import open_world
from nfd_gym.runtime.session import Session
from nfd_gym.runtime.starts import starts_of
from nfd_gym.runtime.threads import settle
from nfd_gym.shipped import DEFAULT_WORLD
from nfd_gym.world import World

Vectors = NDArray[np.float32]

PACED = (
    "mode", "ticks/s", "hit rate", "discarded/drawn",
    "hit p50", "hit p99", "miss p50", "miss p99", "all p50",
)  # fmt: skip
JOINT = ("K", "hit rate", "discarded/drawn", "frames/s", "speed-up", "ms p50", "ms p99")
QUALITY = ("K", "frame", "PSNR to one by one, dB", "frames")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--world", default=DEFAULT_WORLD, help="folder or name")
    parser.add_argument("--data", type=Path, help="recordings whose actions are played")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--rate", type=float, default=20.0, help="ticks per second of the caller")
    parser.add_argument("--ticks", type=int, default=400, help="ticks of every row")
    parser.add_argument("--at-once", nargs="+", type=int, default=[1, 2, 4, 8], metavar="K")
    parser.add_argument("--skip", nargs="*", choices=("paced", "joint", "quality"), default=[])
    add_output(parser)


def main(args: argparse.Namespace) -> int:
    settle()
    world = open_world(args.world)
    source = open_source(args.data, codec=world.codec) if args.data else world.starts()
    actions = recorded_actions(source, args.ticks + 1)
    if "paced" not in args.skip:
        modes = ("off", "ahead", "auto", "parallel")
        rows = [paced(world, args.engine, mode, actions, args.rate) for mode in modes]
        report("speculate.paced", PACED, rows, args)
    if "joint" not in args.skip:
        joint = [flat_out(world, actions, k) for k in args.at_once]
        rates = [row[3] for row in joint]
        rows = [(*row[:4], row[3] / rates[0], *row[4:]) for row in joint]
        report("speculate.joint", JOINT, rows, args)
    if "quality" not in args.skip:
        rows = [row for k in args.at_once if k > 1 for row in quality(world, actions, k)]
        report("speculate.quality", QUALITY, rows, args)
    return 0


def recorded_actions(source: Source, count: int) -> Vectors:
    """`count` actions (T, A) as they were played, clip after clip."""
    parts: list[Vectors] = []
    for index in itertools.cycle(range(len(source.names))):
        parts.append(source.read(index).actions[1:])
        if sum(map(len, parts)) >= count:
            return np.concatenate(parts)[:count]
    raise UsageError("the recordings are empty; give others with --data.")


def begin(world: World, engine: str, mode: str) -> Session:
    session = Session(world, engine=engine, speculate=mode)
    start = starts_of(world).clip(0)
    clip = (start.frames[None], start.actions[None], start.depth[None], start.poses[None])
    session.reset(*clip, [0])
    return session


def paced(world: World, engine: str, mode: str, actions: Vectors, rate: float) -> tuple[Any, ...]:
    """A caller with a clock: what `step` costs it when the guess was right, and when not."""
    session = begin(world, engine, mode)
    session.step(actions[:1])
    took: dict[bool, list[float]] = {True: [], False: []}
    due = began = time.perf_counter()
    for action in actions[1:]:
        due += 1.0 / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        hits = session.speculation["hits"]
        started = time.perf_counter()
        session.step(action[None])
        milliseconds = 1e3 * (time.perf_counter() - started)
        took[session.speculation["hits"] > hits].append(milliseconds)
    ticks = (len(actions) - 1) / (time.perf_counter() - began)
    counts = session.speculation
    session.close()
    hit, miss = percentiles(took[True]), percentiles(took[False])
    every = percentiles(took[True] + took[False])["p50"]
    return (
        mode, ticks, counts["hits"] / counts["steps"], counts["discarded"] / counts["drawn"],
        *(known(x) for x in (hit["p50"], hit["p99"], miss["p50"], miss["p99"])), every,
    )  # fmt: skip


def flat_out(world: World, actions: Vectors, at_once: int) -> tuple[Any, ...]:
    """A caller that never waits, with K fixed; eager, which the parallel mode runs on."""
    session = begin(world, "eager", "parallel")
    session.speculator.fixed = at_once
    took = []
    for action in actions:
        started = time.perf_counter()
        session.step(action[None])
        took.append(1e3 * (time.perf_counter() - started))
    counts, spread = session.speculation, percentiles(took)
    return (
        at_once, counts["hits"] / counts["steps"], counts["discarded"] / counts["drawn"],
        1e3 / float(np.mean(took)), spread["p50"], spread["p99"],
    )  # fmt: skip


def quality(world: World, actions: Vectors, at_once: int) -> list[tuple[Any, ...]]:
    """PSNR of the m-th of K joint frames to the m-th of K single ones, all else being equal."""
    session = begin(world, "eager", "off")
    errors: list[list[float]] = [[] for _ in range(at_once)]
    for number, action in enumerate(actions[: 16 * at_once]):
        held = (actions[number : number + at_once] == action).all()
        if held and number + at_once <= len(actions):
            joint = session.fork(1).draw_jointly(action[None], at_once)
            single = session.fork(1)
            for m, drawn in enumerate(joint):
                errors[m].append(mean_square(drawn.frame[0], single.step(action[None])[0]))
        session.step(action[None])
    return [
        (at_once, m + 1, 10 * np.log10(255**2 / max(float(np.mean(some)), 1e-5)), len(some))
        for m, some in enumerate(errors)
        if some
    ]


def mean_square(a: torch.Tensor, b: NDArray[np.uint8]) -> float:
    return float(((a.cpu().numpy().astype(np.float64) - b) ** 2).mean())


def known(value: float) -> float | None:
    """None for "was never measured": a table of results holds no NaN."""
    return None if np.isnan(value) else value
