"""`python -m nfd_gym bench env`: frames per second end to end, through `env.step`.

A cell plays `--frames` ticks of random actions after `--warm-up`, in one env through NFDEnv, in
more through NFDVectorEnv. `--long 10000` plays one long episode instead and reports time and
memory as it goes. Random weights take as long as trained ones: `--preset tiny` needs no world.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nfd_gym.actions import KeysAndMouse
from nfd_gym.envs.nfd_env import NFDEnv
from nfd_gym.envs.vector_env import NFDVectorEnv
from nfd_gym.eval.bench_table import add_output, percentiles, report
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.presets import PRESETS
from nfd_gym.runtime.engines.make import NAMES
from nfd_gym.runtime.open_world import open_world
from nfd_gym.runtime.threads import settle
from nfd_gym.shipped import DEFAULT_WORLD
from nfd_gym.world import World

COLUMNS = ("engine", "envs", "steps", "frames/s", "ms p50", "ms p99")
LONG_COLUMNS = ("frames", "ms p50", "ms p99", "resident MB", "drift")
BLOCKS = 10  # rows of a long run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--world", default=DEFAULT_WORLD, help="folder or name")
    parser.add_argument("--preset", choices=tuple(PRESETS), help="or random weights of this size")
    parser.add_argument("--engines", nargs="+", choices=NAMES, default=["auto", "eager"])
    parser.add_argument("--num-envs", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--steps", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--frames", type=int, default=100, help="ticks per cell")
    parser.add_argument("--warm-up", type=int, default=10, help="ticks before the clock starts")
    parser.add_argument("--long", type=int, help="one episode of this many frames instead")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="torch threads (default: torch's own)")
    add_output(parser)


def main(args: argparse.Namespace) -> int:
    settle(args.threads)
    if args.preset:
        world = random_world(args.preset, args.device)
    else:
        world = open_world(args.world, args.device)
    if args.long:
        env = NFDEnv(world, engine=args.engines[0], steps=args.steps[0], device=args.device)
        report(f"long.{world.name}", LONG_COLUMNS, long_run(env, args.long), args)
        return 0
    rows = []
    for engine in args.engines:
        for num_envs in args.num_envs:
            for steps in args.steps:
                tick, name = ticker(world, engine, num_envs, steps, args.device)
                took = measure(tick, args.warm_up, args.frames)
                spread = percentiles(took)
                rate = num_envs * 1e3 / float(np.mean(took))
                rows.append((name, num_envs, steps, rate, spread["p50"], spread["p99"]))
                print(".", end="", flush=True)
    print()
    report(f"env.{world.name}", COLUMNS, rows, args)
    return 0


def ticker(
    world: World, engine: str, num_envs: int, steps: int, device: str
) -> tuple[Callable[[], object], str]:
    """(one tick of an env that has been reset, the engine's name)."""
    how: dict[str, Any] = {"engine": engine, "steps": steps, "device": device}
    env: Any = NFDEnv(world, **how) if num_envs == 1 else NFDVectorEnv(world, num_envs, **how)
    env.reset(seed=0, options=start_options(world))
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(64)]
    count = iter(range(1 << 30))
    return lambda: env.step(actions[next(count) % 64]), env.dream.session.engine_name


def measure(tick: Callable[[], object], warm_up: int, frames: int) -> list[float]:
    """Milliseconds of each tick after warming up."""
    for _ in range(warm_up):
        tick()
    took = []
    for _ in range(frames):
        started = time.perf_counter()
        tick()
        took.append(1e3 * (time.perf_counter() - started))
    return took


def long_run(env: NFDEnv, frames: int) -> list[tuple[Any, ...]]:
    """Ten rows over one episode: time per frame, memory and drift at its end."""
    env.reset(seed=0, options=start_options(env.dream.world))
    env.action_space.seed(0)
    rows: list[tuple[Any, ...]] = []
    drift: float | None = None
    block = max(1, frames // BLOCKS)
    held = env.action_space.sample()
    for done in range(block, block * BLOCKS + 1, block):
        took = []
        for tick in range(block):
            if tick % 10 == 0:
                held = env.action_space.sample()
            started = time.perf_counter()
            info = env.step(held)[4]
            took.append(1e3 * (time.perf_counter() - started))
            drift = info.get("drift")
        spread = percentiles(took)
        rows.append((done, spread["p50"], spread["p99"], resident_megabytes(), drift))
        print(f"{done} frames, {spread['p50']:.1f} ms, {rows[-1][3]:.0f} MB", flush=True)
    return rows


def resident_megabytes() -> float:
    """Memory of this process now (its peak where /proc does not exist)."""
    import resource  # POSIX only

    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def start_options(world: World) -> dict[str, Any]:
    """Reset options for a world that has no start clips: grey frames, window full."""
    if world.path is not None and (world.path / "starts").is_dir():
        return {}
    width, height = world.size
    count = world.denoiser.config.window + 1
    grey = np.full((count, height, width, 3), 128, np.uint8)
    return {"frames": grey, "actions": np.zeros((count, world.codec.width), np.float32)}


def random_world(preset: str, device: str) -> World:
    """A world of that size which nobody trained; always the same one, so it is converted once."""
    size = PRESETS[preset]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokenizer, denoiser = Tokenizer(size.tokenizer).eval(), Denoiser(size.denoiser).eval()
    for part in (tokenizer, denoiser):
        part.to(device).requires_grad_(False)
    return World(
        name=f"random-{preset}", codec=KeysAndMouse(), tokenizer=tokenizer, denoiser=denoiser
    )
