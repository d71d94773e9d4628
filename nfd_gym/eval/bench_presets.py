"""`python -m nfd_gym bench presets`: the paper's sizes with random weights on this device.

Times one frame with a full window: eager, one network evaluation per denoising step, tokenizer
included. Random weights are as slow as trained ones; nothing is said about pictures.
"""

import argparse
import time

import numpy as np
import torch

from nfd_gym.eval.bench import add_output, percentiles, report
from nfd_gym.eval.bench_env import random_world
from nfd_gym.presets import PRESETS
from nfd_gym.runtime.engine import find_device
from nfd_gym.runtime.session import Session
from nfd_gym.runtime.threads import settle

COLUMNS = ("preset", "parameters M", "tokens", "window", "engine", "steps", "ms p50", "frames/s")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--presets", nargs="+", choices=tuple(PRESETS), default=list(PRESETS))
    parser.add_argument("--steps", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--engine", default="eager")
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    add_output(parser)


def main(args: argparse.Namespace) -> int:
    settle()
    device = find_device(args.device)
    rows = []
    for preset in args.presets:
        world = random_world(preset, args.device)
        nets = (world.tokenizer, world.denoiser)
        size = sum(weight.numel() for net in nets for weight in net.parameters())
        shape = world.denoiser.config
        for steps in args.steps:
            session = Session(world, engine=args.engine, steps=steps, device=args.device)
            # A window of zeros costs what a window of frames does, and priming one would cost more.
            zeros = torch.zeros_like(session.cache.keys[:, :, : shape.window])
            width, height = world.size
            still = np.zeros((1, 1, world.codec.width), np.float32)
            session.reset(np.zeros((1, 1, height, width, 3), np.uint8), still, seeds=[0])
            session.cache.append(zeros, zeros)
            took = []
            for number in range(args.frames + 1):
                started = time.perf_counter()
                session.step(still[0])
                if device.type == "cuda":
                    torch.cuda.synchronize()
                if number:
                    took.append(1e3 * (time.perf_counter() - started))
            p50 = percentiles(took)["p50"]
            sizes = (preset, size / 1e6, shape.tokens, shape.window)
            rows.append((*sizes, session.engine.name, steps, p50, 1e3 / p50))
            print(".", end="", flush=True)
        del world, session
    print()
    report("presets", COLUMNS, rows, args)
    return 0
