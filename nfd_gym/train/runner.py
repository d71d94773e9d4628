"""Runs the stages of a recipe in order; a stage that has finished is not run again.

OUT/tokenizer.safetensors, atlas.npz, views/, body.safetensors, denoiser/checkpoint.safetensors and
the world folder: to repeat a stage, delete what it wrote.
"""

import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.multiprocessing.spawn import spawn

from nfd_gym.data import Source, open_source
from nfd_gym.memory.points import PointMemory
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.eye import EyeBody
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train import loop
from nfd_gym.train.distributed import Team
from nfd_gym.train.job import check_source, check_stage, fit_tokenizer, need, run_stages
from nfd_gym.train.recipe import Recipe, RecipeError
from nfd_gym.train.stages import atlas, body, templates, tokenizer, world
from nfd_gym.train.stages.denoiser import DenoiserStage
from nfd_gym.train.stages.shards import ShardWriter, ViewLoader
from nfd_gym.train.views import replay

STAGES = ("tokenizer", "atlas", "templates", "views", "body", "denoiser", "world")


@dataclass(frozen=True, kw_only=True)
class Job:
    recipe: Recipe
    data: Path
    out: Path
    workers: int = 2  # processes, one thread each
    clips: int | None = None  # at most so many clips; None: all


def run(job: Job, only: str | None = None) -> None:
    """All stages, or the one called `only`."""
    check_stage(job.recipe, STAGES, only)
    check(job)
    torch.set_num_threads(1)
    stages: dict[str, Callable[[Job], None]] = {
        "tokenizer": fit_tokenizer, "atlas": _atlas, "templates": _templates, "views": _views,
        "body": _body, "denoiser": _denoiser, "world": _world,
    }  # fmt: skip
    run_stages(stages, job, only)


def check(job: Job) -> None:
    """Refuse recordings that the recipe cannot be run on, before any stage begins."""
    recipe, source = job.recipe, check_source(job)
    first = source.read(0, 0, 1)
    if first.depth is None or first.pose is None:
        raise RecipeError(
            f"recipe {recipe.name!r} needs depth and poses and {job.data} has none; record with "
            "`nfd-gym record --env Luanti-v0`."
        )
    needed, given = recipe.denoiser.control_width, source.codec.width + EyeBody(recipe.body).width
    if needed != given:
        raise RecipeError(
            f"recipe {recipe.name!r} is for other actions: its denoiser takes {needed} numbers, "
            f"the actions of {job.data} and the body give {given}."
        )


def _atlas(job: Job) -> None:
    path = job.out / "atlas.npz"
    if not path.exists():
        source = open_source(job.data)
        faces, sky = atlas.film(source, job.recipe.fov_y, job.recipe.atlas_every, job.clips)
        atlas.save(faces, sky, path)
        size = path.stat().st_size / 1e6
        print(f"atlas: {len(faces.cell)} faces, {size:.1f} MB", file=sys.stderr, flush=True)


def _templates(job: Job) -> None:
    path = job.out / "templates.npy"
    if not path.exists():
        recipe, source = job.recipe, open_source(job.data)
        filmed, _ = atlas.load(job.out / "atlas.npz")
        made = templates.film(source, filmed, recipe.fov_y, recipe.nodes, job.clips)
        templates.save(made, path)
        print(f"templates: {len(made.cell)} faces laid bare", file=sys.stderr)


def _views(job: Job) -> None:
    """Every worker has its own share of the clips: another number of workers would mix them."""
    note = job.out / "views" / "workers.json"
    begun = json.loads(note.read_text()) if note.exists() else job.workers
    if begun != job.workers:
        raise RecipeError(
            f"{note.parent} was begun with --workers {begun}; give the same number or delete it."
        )
    note.parent.mkdir(exist_ok=True)
    note.write_text(json.dumps(job.workers))
    load_parts(job)  # refuses before any process is started
    _spawn(_views_worker, job)


def _views_worker(rank: int, job: Job) -> None:
    torch.set_num_threads(1)
    recipe, source = job.recipe, open_source(job.data)
    fixed = load_parts(job)
    done = job.out / "views" / f"done-{rank}.json"
    first = json.loads(done.read_text()) if done.exists() else 0
    chosen = _clips(source, job)[rank :: job.workers]
    writer = ShardWriter(job.out / "views", f"{rank}-{first:05d}")
    for position, index in enumerate(chosen):
        if position < first:
            continue
        clip = source.read(index)
        random = np.random.default_rng(np.random.SeedSequence([1, index]))
        for record, legs in replay(
            fixed.memory, fixed.body, fixed.tokenizer, clip, recipe.nodes, recipe.views, random
        ):
            writer.add(record, legs)
        if position % 10 == 9:
            writer.flush()
            done.write_text(json.dumps(position + 1))
        if position % 10 == 0:
            print(
                f"views {rank}: {position + 1} of {len(chosen)} clips", file=sys.stderr, flush=True
            )
    writer.flush()
    done.write_text(json.dumps(len(chosen)))


def _clips(source: Source, job: Job) -> list[int]:
    """In the order of recording, so that a store that has grown is continued."""
    return list(range(len(source.names)))[: job.clips]


def _body(job: Job) -> None:
    path = job.out / "body.safetensors"
    if not path.exists():
        fitted = body.fit(shard_folders(job), job.recipe.body, job.recipe.body_steps)
        body.save(fitted, path)


def _denoiser(job: Job) -> None:
    shard_folders(job)  # refuses before any process is started
    _spawn(_denoiser_worker, job if job.recipe.loop.device == "cpu" else replace(job, workers=1))


def _denoiser_worker(rank: int, job: Job) -> None:
    torch.set_num_threads(1)
    precise = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    if job.workers > 1:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(job.workers)}
    torch.manual_seed(0)
    model = Denoiser(job.recipe.denoiser)
    folders = shard_folders(job)

    def loader_at(first: int, team: Team) -> ViewLoader:
        return ViewLoader(folders, job.recipe.batch, 0, first, team.rank, team.ranks)

    stage = DenoiserStage(model, job.recipe.loss)
    try:
        loop.train(stage, loader_at, job.out / "denoiser", job.recipe.loop, job.recipe.loop.device)
    finally:
        torch.set_float32_matmul_precision(precise)


def _world(job: Job) -> None:
    recipe, source = job.recipe, open_source(job.data)
    parts = load_parts(job)
    denoiser = Denoiser(recipe.denoiser)
    denoiser.load_state_dict(loop.weights(job.out / "denoiser"))
    about = {"recipe": recipe.name, "minutes": recipe.loop.minutes}
    made = world.assemble(
        recipe.world, source, parts.tokenizer, denoiser, parts.memory, parts.body,
        recipe.settings, about,
    )  # fmt: skip
    world.export(made, source, job.out / recipe.world, recipe.starts)


@dataclass(frozen=True)
class Fixed:
    tokenizer: Tokenizer
    memory: PointMemory
    body: EyeBody


def load_parts(job: Job) -> Fixed:
    """What the stages before `views` made; the body is untrained until its stage has run."""
    written = {
        "tokenizer": "tokenizer.safetensors",
        "atlas": "atlas.npz",
        "templates": "templates.npy",
    }
    for stage, name in written.items():
        need(job, name, stage)
    shape = job.recipe.tokenizer
    code = tokenizer.load(job.out / "tokenizer.safetensors", shape)
    filmed, sky = atlas.load(job.out / "atlas.npz")
    shown = templates.load(job.out / "templates.npy")
    memory = PointMemory(
        shape.height, shape.width, job.recipe.fov_y, filmed, sky, shown,
        keeps_paint=job.recipe.keeps_paint,
        painted=PointMemory.painted if job.recipe.keeps_paint else 1,
    )  # fmt: skip
    path = job.out / "body.safetensors"
    moved = body.load(path, job.recipe.body) if path.exists() else EyeBody(job.recipe.body)
    return Fixed(code, memory, moved.eval().requires_grad_(False))


def shard_folders(job: Job) -> list[Path]:
    folders = sorted(path.parent for path in (job.out / "views").glob("[!.]*/count.json"))
    if not folders:
        raise RecipeError(f"{job.out / 'views'} holds no records; run the stage `views` first.")
    return folders


def _spawn(work: Callable[[int, Job], None], job: Job) -> None:
    """`workers` processes; a free port of this machine is their meeting point."""
    if job.workers == 1:
        work(0, job)
        return
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ["MASTER_PORT"] = str(_free_port())
    spawn(_work_and_leave, args=(work, job), nprocs=job.workers, join=True)


def _work_and_leave(rank: int, work: Callable[[int, Job], None], job: Job) -> None:
    """Side effect: ends the process without the destructors of libraries: now and then one of
    gloo's threads is still there, and the whole training would fail with it after its last save."""
    work(rank, job)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _free_port() -> int:
    with socket.socket() as box:
        box.bind(("127.0.0.1", 0))
        return int(box.getsockname()[1])
