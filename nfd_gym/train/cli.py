"""`python -m nfd_gym train tokenizer|denoiser|heads`: train one stage, resumably."""

import argparse

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch


from nfd_gym.data import Loader, open_source
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.pixels import to_float
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig
from nfd_gym.presets import PRESETS
from nfd_gym.train import distributed, loop
from nfd_gym.train.tokenizer_step import TokenizerLoss, TokenizerStage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("stage", choices=["tokenizer", "denoiser"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--window", type=int, default=4)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--device", default="cpu")


def main(args: argparse.Namespace) -> int:
    source = open_source(args.data)
    preset = PRESETS[args.preset]
    config = loop.LoopConfig(minutes=args.minutes, steps=args.steps, lr=args.lr, muon=False, ema=0.99)
    torch.manual_seed(0)
    model = Tokenizer(preset.tokenizer)
    stage = TokenizerStage(model, TokenizerLoss(), args.device)
    first = Loader(source, window=1, batch=512, seed=12345).batch(0)
    model.init_pca(to_float(torch.from_numpy(first.frames[:, 0])))

    def loader_at(index: int, team: distributed.Team) -> Loader:
        return Loader(source, window=args.window, batch=args.batch, seed=config.seed, rank=team.rank, ranks=team.ranks, first=index)

    loop.describe(args.out, loop.as_settings(loop=config, tokenizer=preset.tokenizer))
    print(loop.train(stage, loader_at, args.out, config, args.device))
    return 0
