"""`python -m nfd_gym bench data DIR`: the loader's frames per second, and its memory."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from nfd_gym.data.check import folder_of
from nfd_gym.data.cli_info import machine
from nfd_gym.data.clip import DataError
from nfd_gym.data.loader import Loader
from nfd_gym.data.sources import open_source
from nfd_gym.progress import Progress

SAMPLES = 10  # readings of the memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", help="a folder of recordings")
    parser.add_argument("--frames", type=int, default=100_000, help="frames to deliver")
    parser.add_argument("--window", type=int, default=32, help="frames per window")
    parser.add_argument("--batch", type=int, default=8, help="windows per batch")
    parser.add_argument("--workers", type=int, default=2, help="decoding threads")


def main(args: argparse.Namespace) -> int:
    if args.frames < 2 * args.window * args.batch:
        raise DataError(f"--frames {args.frames}: at least two batches are needed.")
    figures = measure(folder_of(args.path), args.frames, args.window, args.batch, args.workers)
    for name, value in figures.items():
        print(f"{name:>24}  {value}")
    facts = machine()
    print(json.dumps({**figures, "cpu": facts["cpu"], "cores": facts["cores"], "av": facts["av"]}))
    return 0


def measure(path: Path, frames: int, window: int, batch: int, workers: int) -> dict[str, Any]:
    """Frames per second delivered after a warm-up, and the memory along the way.

    The warm-up opens every file and parses every row once, which a training run also does once.
    """
    source = open_source(path)
    loader = Loader(source, window=window, batch=batch, seed=0, workers=workers)
    start = time.perf_counter()
    for index in range(len(source.names)):
        source.read(index, 0, 1)
    opened = time.perf_counter() - start
    total = max(2, frames // (window * batch))
    memory: list[float] = []
    batches = iter(loader)
    next(batches)
    start, busy = time.perf_counter(), time.process_time()
    with Progress(total * window * batch, "frames") as bar:
        for number in range(total):
            next(batches)
            bar.add(window * batch)
            if number % max(1, total // SAMPLES) == 0 or number == total - 1:
                memory.append(resident_mb())
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - busy
    batches.close()
    delivered = total * window * batch
    # The first tenth fills the caches; growth after it would be a leak.
    settled = memory[1] if len(memory) > 2 else memory[0]
    return {
        "frames": delivered,
        "size": f"{source.size[1]}x{source.size[0]}",
        "window": window,
        "batch": batch,
        "workers": workers,
        "frames_per_second": round(delivered / seconds, 1),
        # A busy machine cannot blur this one: what two free cores give is about twice as much.
        "frames_per_cpu_second": round(delivered / cpu_seconds, 1),
        "open_seconds": round(opened, 2),
        "memory_mb": [round(value, 1) for value in memory],
        "memory_growth_mb": round(memory[-1] - settled, 1),
    }


def resident_mb() -> float:
    """Memory that this process holds now, from /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        raise DataError("bench data reads /proc/self/status; run it on Linux.")
    for line in status.read_text("ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise DataError("/proc/self/status has no VmRSS line; is /proc mounted?")
