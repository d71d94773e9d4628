"""`python -m nfd_gym distill`: a trained denoiser becomes a world of one or two steps a frame."""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nfd_gym import settings
from nfd_gym.data import Loader, open_source
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.train import loop, runs
from nfd_gym.train.denoiser_step import DenoiserLoss, Recycling
from nfd_gym.train.distill_settings import RECIPES
from nfd_gym.train.distill_step import DistillStage, tell
from nfd_gym.train.distributed import Team

# What each recipe changes; --set wins over it.
PULLS = {"rollout": 0.3, "pixel_share": 0.5}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--teacher", type=Path, required=True, metavar="RUN", help="run of stage 2")
    parser.add_argument("--recipe", choices=RECIPES, default="dcm", help="how to distil")
    parser.add_argument("--steps", default="1,2", help="sampler lengths to watch and roll out")
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings")
    parser.add_argument("--val", type=Path, help="recordings to watch on; else part of --data")
    parser.add_argument("--out", type=Path, required=True, help="run folder; repeat to resume")
    parser.add_argument("--start", type=Path, metavar="RUN", help="begin with a distilled run")
    parser.add_argument("--critics", type=Path, metavar="RUN", help="begin with its critics")
    parser.add_argument("--tokenizer", type=Path, metavar="RUN", help="default: the teacher's own")
    parser.add_argument("--minutes", type=float, default=0.0, help="wall clock over all resumes")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    settings.add_arguments(parser, runs.distill_presets())


def main(args: argparse.Namespace) -> int:
    teacher, taught = runs.load_denoiser(args.teacher)
    config = resolve(args, taught)
    if args.dry_run:
        print(settings.show(config))
        return 0
    if config.window <= config.loss.rollout_after:
        raise ValueError(
            f"windows of {config.window} frames leave none after {config.loss.rollout_after}; "
            f"use --set window={config.loss.rollout_after + config.loss.rollout_frames}"
        )
    tokenizer = runs.load_tokenizer(Path(config.tokenizer)).to(args.device)
    source = open_source(args.data)
    size = (tokenizer.config.height, tokenizer.config.width)
    if tuple(source.size) != size:
        raise ValueError(
            f"the recordings are {source.size[1]}x{source.size[0]}, the teacher draws "
            f"{size[1]}x{size[0]}; import them at that size"
        )
    if source.codec.width != config.model.action_width:
        raise ValueError(
            f"the recordings have {source.codec.width} action numbers, the teacher "
            f"{config.model.action_width}; give recordings of the same world"
        )
    runs.describe(args.out, config)
    torch.manual_seed(config.loop.seed)  # the critics' first weights; the rest is seeded by step
    student = Denoiser(config.model)
    student.load_state_dict(
        (teacher if not args.start else runs.load_denoiser(args.start)[0]).state_dict()
    )
    recycling = Recycling(tokenizer, config.model.recycle, source.codec.camera, args.device)
    stage = DistillStage(student, teacher, recycling, config.loss, args.device)
    if args.critics:  # they need hundreds of steps before they see a difference
        runs.begin_critics(stage.duel, loop.weights(args.critics))
    seen = open_source(args.val) if args.val else source
    # Far from the batches of training, which count up from 0.
    first = Loader(seen, window=config.window + 1, batch=2, seed=config.loop.seed).batch(10**9)
    if os.environ.get("RANK", "0") == "0":  # under torchrun one of them watches
        stage.watch_on(first)

    def loader_at(index: int, team: Team) -> Loader:
        return Loader(
            source, window=config.window + 1, batch=config.batch, seed=config.loop.seed,
            rank=team.rank, ranks=team.ranks, first=index,
        )  # fmt: skip

    loop.train(stage, loader_at, args.out, config.loop, args.device)
    stage.average.load_state_dict(runs.load_denoiser(args.out)[0].state_dict())
    tell(stage.report())
    return 0


def resolve(args: argparse.Namespace, taught: Any) -> runs.DistillRun:
    """The settings of the run: the teacher's sizes, the recipe's pulls, then every --set."""
    pulls: dict[str, Any] = dict(PULLS) if args.recipe == "full" else {}
    steps = tuple(int(part) for part in args.steps.split(","))
    # A student of the continuous recipes has to hold its boundary; "anchored" is the teacher's own
    # prediction at level 1, where sampling begins, so it starts from the teacher's weights.
    continuous = args.recipe in ("scm", "trigflow")
    form = "anchored" if continuous and taught.model.form == "x" else taught.model.form
    presets = runs.distill_presets()
    if args.preset not in presets:
        raise ValueError(f"no preset {args.preset!r}; there are {', '.join(presets)}")
    usual = presets[args.preset]
    config = replace(
        usual,
        model=replace(taught.model, form=form),
        loss=replace(
            usual.loss,
            recipe=args.recipe,
            steps=steps,
            regime=taught.loss.regime,
            channel_power=taught.loss.channel_power,
            robust=taught.loss.huber if isinstance(taught.loss, DenoiserLoss) else 0.0,
            energy=taught.loss.energy,
            recycled_noise=taught.loss.recycled_noise,
            recorded=taught.loss.recorded,
            **pulls,
        ),
        batch=taught.batch,
        window=taught.window,
        tokenizer=str(args.tokenizer or taught.tokenizer),
        teacher=str(args.teacher),
        start=str(args.start or ""),
        critics=str(args.critics or ""),
    )
    config = settings.apply(config, args.assignments)
    if args.minutes:
        config = replace(config, loop=replace(config.loop, minutes=args.minutes))
    return config
