"""Runs the stages of a flat recipe in order; a stage that has finished is not run again.

OUT/tokenizer.safetensors, frames/ (with their tokens where there is chance), body.safetensors,
layers.safetensors, restless.safetensors, denoiser/, student/ and the world folder. To repeat a
stage, delete what it wrote.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nfd_gym.baselines.autoregressive import Autoregressive, AutoregressiveConfig
from nfd_gym.data import Source, open_source
from nfd_gym.data.sources.vpt import VPTSource
from nfd_gym.memory import Memory
from nfd_gym.memory.layers import LayerConfig, LayerMemory
from nfd_gym.memory.none import NoMemory
from nfd_gym.memory.tiles import TileMemory, TileSizes
from nfd_gym.model.body import NoBody
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.push import PushBody, PushConfig
from nfd_gym.model.steps import StepBody, StepConfig
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train import checkpoint, loop
from nfd_gym.train.distributed import Team
from nfd_gym.train.flat_recipe import FlatRecipe
from nfd_gym.train.job import check_source, check_stage, fit_tokenizer, need, run_stages
from nfd_gym.train.recipe import RecipeError
from nfd_gym.train.stages import (
    flat_world,
    frames,
    layers,
    next_word,
    push,
    restless,
    sources,
    steps,
    tokenizer,
)
from nfd_gym.train.stages.clips import ClipLoss, ClipStage, FlatBody
from nfd_gym.train.stages.distil import DistilStage
from nfd_gym.train.stages.frames import ClipLoader
from nfd_gym.train.stages.next_word import NextWordLoss, NextWordStage
from nfd_gym.train.stages.plus import PlusLoss, PlusStage
from nfd_gym.train.stages.restless import Restless
from nfd_gym.train.stages.tokens import TokenLoader, TokenLoss, TokenStage
from nfd_gym.train.stages.world import assemble

STAGES = ("tokenizer", "frames", "layers", "sources", "body", "denoiser", "student", "world")


@dataclass(frozen=True, kw_only=True)
class FlatJob:
    recipe: FlatRecipe
    data: Path
    out: Path
    workers: int = 1  # one process; `torchrun` shares a training out over several
    clips: int | None = None  # at most so many clips; None: all


def run(job: FlatJob, only: str | None = None) -> None:
    """All stages, or the one called `only`."""
    check_stage(job.recipe, STAGES, only)
    check(job)
    torch.set_num_threads(job.workers)
    stages: dict[str, Callable[[FlatJob], None]] = {
        "tokenizer": fit_tokenizer, "frames": _frames, "layers": _layers, "sources": _sources,
        "body": _body, "denoiser": _denoiser, "student": _student, "world": _world,
    }  # fmt: skip
    run_stages(stages, job, only)


def check(job: FlatJob) -> None:
    """Refuse recordings that the recipe cannot be run on, before any stage begins."""
    recipe, source = job.recipe, check_source(job)
    told = recipe.denoiser.control_width - new_body(recipe).width
    if told != source.codec.width:
        raise RecipeError(
            f"recipe {recipe.name!r} is for actions of {told} numbers and those of {job.data} have "
            f"{source.codec.width}."
        )


def _frames(job: FlatJob) -> None:
    recipe, source = job.recipe, open_source(job.data)
    drawn = recipe.body.events if isinstance(recipe.body, StepConfig) else 0
    frames.decode(source, job.out / "frames", job.clips, recipe.pose, recipe.events, drawn)


def _body(job: FlatJob) -> None:
    need(job, "frames/lengths.json", "frames")
    config, path, folder = job.recipe.body, job.out / "body.safetensors", job.out / "frames"
    if path.exists() or config is None:
        return
    if isinstance(config, PushConfig):
        checkpoint.save(path, push.fit(folder, config).tensors(), {})
    else:
        if config.events:
            need(job, "frames/since.npy", "sources")
        checkpoint.save(path, steps.fit(folder, config).tensors(), {})


def _layers(job: FlatJob) -> None:
    need(job, "frames/lengths.json", "frames")
    shape, path = job.recipe.memory, job.out / "layers.safetensors"
    if isinstance(shape, LayerConfig) and not path.exists():
        checkpoint.save(path, layers.fit(job.out / "frames", shape).tensors(), {})


def _sources(job: FlatJob) -> None:
    need(job, "frames/lengths.json", "frames")
    memory = job.recipe.memory
    if isinstance(job.recipe.loss, TokenLoss | NextWordLoss):
        kept = memory if isinstance(memory, TileSizes) else None
        sources.write(job.out / "frames", code_of(job), kept)
        path = job.out / "restless.safetensors"
        if not path.exists():
            found = restless.fit(job.out / "frames", looks_of(job.recipe), inside(job))
            checkpoint.save(path, dict(found.state_dict()), {})
            np.save(
                job.out / "frames" / "bins.npy",
                restless.bins(job.out / "frames", found, inside(job)),
            )


def _denoiser(job: FlatJob) -> None:
    need(job, "frames/lengths.json", "frames")
    recipe, memory, body, code = job.recipe, memory_of(job), body_of(job), code_of(job)
    torch.manual_seed(0)
    folder, run = job.out / "frames", job.out / "denoiser"
    sizes = recipe.denoiser
    if isinstance(sizes, AutoregressiveConfig) and isinstance(recipe.loss, NextWordLoss):
        rival = Autoregressive(sizes)
        rival.table.copy_(next_word.codebook(folder, recipe.loss, sizes.words))
        words = NextWordStage(rival)
        loop.train(words, tokens_of(job), run, recipe.loop, recipe.loop.device)
        return
    model = Denoiser(sizes)
    if isinstance(recipe.loss, TokenLoss):
        stage = TokenStage(model, code, recipe.loss, body, restless_of(job), inside(job))
        loop.train(stage, tokens_of(job), run, recipe.loop, recipe.loop.device)
        return

    def clips_at(first: int, team: Team) -> ClipLoader:
        return ClipLoader(
            folder, memory, recipe.frames, recipe.batch, 0, first, team.rank, team.ranks
        )

    assert isinstance(recipe.loss, ClipLoss)
    clips = ClipStage(model, code, recipe.settings, recipe.loss, body, memory)
    loop.train(clips, clips_at, run, recipe.loop, recipe.loop.device)


def _student(job: FlatJob) -> None:
    recipe = job.recipe
    if recipe.distil is None:
        return
    student, teacher = denoiser_of(job, "denoiser"), denoiser_of(job, "denoiser")
    rest = body_of(job), restless_of(job), inside(job)
    stage = (
        PlusStage(student, teacher, code_of(job), recipe.distil, *rest)
        if isinstance(recipe.distil, PlusLoss)
        else DistilStage(student, teacher, code_of(job), recipe.distil, *rest)
    )
    config = replace(
        recipe.loop, minutes=recipe.distil.minutes, steps=0, lr=recipe.distil.lr, compile=False
    )  # three nets take turns
    loop.train(stage, tokens_of(job), job.out / "student", config, config.device)


def _world(job: FlatJob) -> None:
    recipe, source = job.recipe, open_source(job.data)
    denoiser = denoiser_of(job, "denoiser" if recipe.distil is None else "student")
    code = code_of(job)
    about: dict[str, Any] = {
        "recipe": recipe.name,
        "minutes": recipe.loop.minutes,
        "game": game_of(source),
    }
    settings = recipe.settings
    if recipe.distil is not None:  # a student is played at the levels that it was taught
        levels = recipe.distil.sigmas
        about["student_minutes"] = recipe.distil.minutes
        settings = replace(settings, sigmas=levels, trained=levels, method="refine")
    made = assemble(
        recipe.world, source, code, denoiser, memory_of(job), body_of(job), settings, about
    )
    flat_world.export(
        made, source, job.out / recipe.world, recipe.starts, recipe.begins, recipe.openings,
        recipe.opens,
    )  # fmt: skip


def denoiser_of(job: FlatJob, stage: str) -> Any:
    """The network with the averaged weights of a training."""
    sizes = job.recipe.denoiser
    denoiser: Any = (
        Autoregressive(sizes) if isinstance(sizes, AutoregressiveConfig) else Denoiser(sizes)
    )
    weights = loop.weights(need(job, stage, stage))
    if stage == "student" and isinstance(job.recipe.distil, PlusLoss):  # beside its critic
        weights = checkpoint.select(weights, "student")
    denoiser.load_state_dict(weights)
    return denoiser


def tokens_of(job: FlatJob) -> Callable[[int, Team], TokenLoader]:
    """Loaders of the recorded tokens."""
    need(job, "frames/ages.npy", "sources")
    recipe, folder = job.recipe, job.out / "frames"
    return lambda first, team: TokenLoader(
        folder, recipe.frames, recipe.batch, 0, first, team.rank, team.ranks
    )


def restless_of(job: FlatJob) -> Restless:
    """The fitted chances that tokens change."""
    sizes = job.recipe.denoiser
    width = open_source(job.data).codec.width
    found = Restless(sizes.channels, sizes.tokens, width, looks_of(job.recipe))
    path = need(job, "restless.safetensors", "sources")
    found.load_state_dict(checkpoint.load(path)[0])
    return found.eval().requires_grad_(False)


def looks_of(recipe: FlatRecipe) -> tuple[int, ...]:
    """The tokens that the body looks at."""
    if not isinstance(recipe.body, StepConfig):
        return ()
    return tuple(down * recipe.denoiser.tokens_w + right for right, down in recipe.body.looks)


def inside(job: FlatJob) -> int:
    """Tokens of a picture that a map remembers; they come first."""
    memory = job.recipe.memory
    return memory.inside if isinstance(memory, TileSizes) else 0


def code_of(job: FlatJob) -> Tokenizer:
    """The fitted tokenizer."""
    return tokenizer.load(need(job, "tokenizer.safetensors", "tokenizer"), job.recipe.tokenizer)


def memory_of(job: FlatJob) -> Memory:
    """The memory as it begins."""
    memory = job.recipe.memory
    if isinstance(memory, LayerConfig):
        tensors, _ = checkpoint.load(need(job, "layers.safetensors", "layers"))
        return LayerMemory(memory, tensors)
    return NoMemory() if memory is None else TileMemory(memory, code_of(job))


def new_body(recipe: FlatRecipe) -> NoBody | PushBody | StepBody:
    """The body of a recipe before it is fitted."""
    if recipe.body is None:
        return NoBody()
    return StepBody(recipe.body) if isinstance(recipe.body, StepConfig) else PushBody(recipe.body)


def body_of(job: FlatJob) -> FlatBody:
    """The fitted body."""
    body = new_body(job.recipe)
    if isinstance(body, NoBody):
        return body
    body.load_state_dict(checkpoint.load(need(job, "body.safetensors", "body"))[0])
    return body.eval().requires_grad_(False)


def game_of(source: Source) -> str | None:
    """Gymnasium id of the game that was recorded, where the recordings say it."""
    return source.index.env if isinstance(source, VPTSource) else None
