"""`python -m nfd_gym train tokenizer|denoiser|heads|world`: train a stage, or bundle a world."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nfd_gym import settings
from nfd_gym.data import Loader, Source, open_source
from nfd_gym.model.denoiser import Denoiser, DenoiserConfig
from nfd_gym.model.pixels import to_float
from nfd_gym.model.recycle import TURNING
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train import bundle, distributed, heads_step, loop, runs
from nfd_gym.train.decoder_step import DecoderStage
from nfd_gym.train.denoiser_step import DenoiserStage, Recycling
from nfd_gym.train.distributed import Team
from nfd_gym.train.tokenizer_step import TokenizerStage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    stages = parser.add_subparsers(dest="stage", required=True)
    tokenizer = stages.add_parser("tokenizer", help="stage 1: frames <-> latents, from PCA upwards")
    denoiser = stages.add_parser(
        "denoiser", help="stage 2: the diffusion transformer (needs --tokenizer RUN)"
    )
    denoiser.add_argument(
        "--tokenizer", type=Path, required=True, metavar="RUN", help="run of stage 1, or a world"
    )
    denoiser.add_argument(
        "--start", type=Path, metavar="RUN", help="begin with the weights of that run or world"
    )
    denoiser.add_argument(
        "--fsdp", action="store_true", help="share the weights out over the ranks of a torchrun"
    )
    decoder = stages.add_parser("decoder", help="stage 5: the decoder again, on predicted latents")
    decoder.add_argument("--denoiser", type=Path, required=True, metavar="RUN")
    bundle.add_arguments(
        stages.add_parser("world", help="bundle runs and start clips into a world folder")
    )
    heads_step.add_arguments(
        stages.add_parser("heads", help="stage 4: reward heads on logged events")
    )
    for stage, presets in (
        (tokenizer, runs.tokenizer_presets()),
        (denoiser, runs.denoiser_presets()),
        (decoder, runs.tokenizer_presets()),
    ):
        stage.add_argument(
            "--data", type=Path, required=True, help="folder of recordings (see `import`)"
        )
        stage.add_argument(
            "--out", type=Path, required=True, help="run folder; the same command again resumes it"
        )
        stage.add_argument(
            "--minutes", type=float, default=0.0, help="budget of wall-clock time over all resumes"
        )
        stage.add_argument("--device", default="cpu", help="cpu or cuda")
        settings.add_arguments(stage, presets)


def main(args: argparse.Namespace) -> int:
    distributed.join()  # before anything goes to a device: each rank has its own GPU
    return {
        "tokenizer": _tokenizer,
        "denoiser": _denoiser,
        "decoder": _decoder,
        "world": bundle.main,
        "heads": heads_step.main,
    }[args.stage](args)


def _tokenizer(args: argparse.Namespace) -> int:
    config = _with_budget(settings.resolve(args, runs.tokenizer_presets()), args)
    if (
        not config.model.hidden
    ):  # a linear code is done once it is fitted: one step that changes nothing
        config = replace(config, loop=replace(config.loop, minutes=0.0, steps=1, lr=0.0))
    if args.dry_run:
        print(settings.show(config))
        return 0
    source = open_source(args.data)
    _fits(source, config.model.height, config.model.width)
    runs.describe(args.out, config)
    torch.manual_seed(config.loop.seed)  # initial weights; all later draws have seeded generators
    model = Tokenizer(config.model)
    look = Loader(source, window=1, batch=config.pca_frames, seed=config.loop.seed + 1)
    first = look.batch(0)
    model.init_pca(to_float(torch.from_numpy(first.frames[:, 0])))
    loop.train(
        TokenizerStage(model, config.loss, args.device),
        lambda index, team: _loader(source, config, config.window, index, team),
        args.out, config.loop, args.device,
    )  # fmt: skip
    return 0


def _denoiser(args: argparse.Namespace) -> int:
    config = _with_budget(settings.resolve(args, runs.denoiser_presets()), args)
    config = replace(config, tokenizer=str(args.tokenizer), start=str(args.start or ""))
    tokenizer = runs.load_tokenizer(args.tokenizer).to(args.device)
    source = open_source(args.data)
    rows, columns = tokenizer.config.grid
    sizes: dict[str, Any] = {
        "tokens_h": rows,
        "tokens_w": columns,
        "channels": tokenizer.config.channels,
        "patch": tokenizer.config.patch,
    }
    if source.codec.camera is not None:
        sizes["fov_y"] = source.codec.camera.fov_y
    elif config.model.recycle in TURNING:
        sizes["recycle"] = "plain"  # no known camera to warp by
    config = replace(config, model=replace(config.model, action_width=source.codec.width, **sizes))
    if args.dry_run:
        print(settings.show(config))
        return 0
    _fits(source, tokenizer.config.height, tokenizer.config.width)
    runs.describe(args.out, config)
    torch.manual_seed(config.loop.seed)
    model = Denoiser(config.model)
    if args.start:
        runs.begin_with(model, runs.start_weights(args.start))
    if model.motion is not None:
        model.motion.learn_code(tokenizer)
    recycling = _recycling(source, tokenizer, config.model, args.device)
    loop.train(
        DenoiserStage(model, recycling, config.loss, args.device),
        lambda index, team: _loader(source, config, config.window + 1, index, team),
        args.out, config.loop, args.device,
    )  # fmt: skip
    return 0


def _decoder(args: argparse.Namespace) -> int:
    denoiser, before = runs.load_denoiser(args.denoiser)
    start = Path(before.tokenizer)
    tokenizer = runs.load_tokenizer(start)
    config = _with_budget(settings.resolve(args, runs.tokenizer_presets()), args)
    config = replace(config, model=tokenizer.config)
    if args.dry_run:
        print(settings.show(config))
        return 0
    source = open_source(args.data)
    runs.describe(args.out, config)
    recycling = _recycling(source, runs.load_tokenizer(start), before.model, args.device)
    loop.train(
        DecoderStage(tokenizer, recycling, denoiser, config.loss, args.device),
        lambda index, team: _loader(source, config, before.window + 1, index, team),
        args.out, config.loop, args.device,
    )  # fmt: skip
    return 0


def _recycling(
    source: Source, tokenizer: Tokenizer, model: DenoiserConfig, device: str
) -> Recycling:
    return Recycling(tokenizer.to(device), model.recycle, source.codec.camera, device)


def _with_budget(config: Any, args: argparse.Namespace) -> Any:
    loop_config = config.loop
    if args.minutes:
        loop_config = replace(loop_config, minutes=args.minutes)
    if getattr(args, "fsdp", False):
        loop_config = replace(loop_config, fsdp=True)
    return replace(config, loop=loop_config)


def _loader(source: Source, config: Any, window: int, index: int, team: Team) -> Loader:
    return Loader(
        source, window=window, batch=config.batch, seed=config.loop.seed,
        rank=team.rank, ranks=team.ranks, first=index,
    )  # fmt: skip


def _fits(source: Source, height: int, width: int) -> None:
    if tuple(source.size) != (height, width):
        raise ValueError(
            f"the recordings are {source.size[1]}x{source.size[0]}, the model is {width}x{height}; "
            f"--set model.width={source.size[1]} --set model.height={source.size[0]} "
            "or import them at that size"
        )
