"""Flat recipes: the training input is the play input, and the stages run from end to end."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

import nfd_gym  # noqa: F401  registers NFD-v0
from nfd_gym.actions import Continuous
from nfd_gym.baselines.autoregressive import AutoregressiveConfig
from nfd_gym.data.clip import Clip
from nfd_gym.data.store import ClipWriter
from nfd_gym.errors import UsageError
from nfd_gym.memory.none import NoMemory
from nfd_gym.model.body import NoBody
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.pixels import to_float
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.runtime.engines.engine import EngineError
from nfd_gym.runtime.session import Session
from nfd_gym.train import flat_runner
from nfd_gym.train.flat_recipe import FlatRecipe
from nfd_gym.train.loop import LoopConfig, Moment
from nfd_gym.train.recipe import RecipeError
from nfd_gym.train.recipes import RECIPES
from nfd_gym.train.recipes.pusht import PUSHT
from nfd_gym.train.stages.clips import GIVEN, ClipStage, conditions, rollout
from nfd_gym.train.stages.distil import DistilLoss
from nfd_gym.train.stages.frames import ClipBatch, ClipLoader
from nfd_gym.train.stages.next_word import NextWordLoss
from nfd_gym.train.stages.tokens import TokenLoss
from nfd_gym.world import WorldError, WorldSettings, load_world

CODEC = Continuous(2)
TINY = replace(
    PUSHT,
    world="world",
    tokenizer=replace(PUSHT.tokenizer, height=24, width=36, channels=24),
    tokenizer_frames=64,
    body=None,
    pose=None,
    memory=None,
    denoiser=replace(
        PUSHT.denoiser,
        tokens_h=2,
        tokens_w=3,
        channels=24,
        width=32,
        depth=2,
        heads=2,
        control_width=2,
        pointers=0,
    ),
    loop=LoopConfig(steps=30, warmup=5, ema=0.9, log_every=5),
    batch=2,
    starts=4,
    openings=5,
    opens=(("odd", (1, 0)),),
)


PLAIN = replace(
    TINY,
    denoiser=replace(TINY.denoiser, condition=False, causal_every=1),
    loss=TokenLoss(clean=0.5, own=0.0),
    distil=DistilLoss(teacher=(1.0, 0.5), sigmas=(1.0, 0.5), minutes=0.02),
    settings=WorldSettings(fps=10.0, sigmas=(1.0, 0.5), method="euler", hold=0.0),
)  # as in the paper: no view, what was is seen in the window alone
WORDS = replace(
    PLAIN,
    denoiser=AutoregressiveConfig(
        tokens_h=2, tokens_w=3, channels=24, width=32, depth=2, heads=2, control_width=2, window=2,
        causal_every=1, words=64,
    ),
    loss=NextWordLoss(levels=(4, 4, 4), fitting=50),
    distil=None,
    settings=WorldSettings(fps=10.0, context="exact", hold=0.0),
)  # fmt: skip


def dot(seed: int, frames: int) -> Clip:
    """A bright dot that steps towards where the actions point."""
    random = np.random.default_rng(seed)
    actions = random.uniform(-1, 1, (frames, 2)).astype(np.float32)
    place, pictures = np.zeros(2), []
    y, x = np.mgrid[0:24, 0:36]
    for action in actions:
        place = place + 0.4 * (action - place)
        far = np.hypot(x - 18 - 12 * place[0], y - 12 - 8 * place[1])
        spot = (40 + (far < 4)[..., None] * np.array([200, 190, 180])).astype(np.uint8)
        pictures.append(spot)
    odd = np.tile([seed % 2, 0], (frames, 1))
    return Clip(np.stack(pictures), actions, name=f"dot-{seed}", fps=10.0, state={"odd": odd})


@pytest.fixture
def dots(tmp_path: Path) -> Path:
    store = ClipWriter(tmp_path / "dots", CODEC, fps=10.0, size=(24, 36), crf=0)
    for seed in range(6):
        store.write(dot(seed, 24))
    return tmp_path / "dots"


@pytest.fixture
def stage() -> ClipStage:
    """A model with weights that do something."""
    torch.manual_seed(0)
    model, code = Denoiser(TINY.denoiser), Tokenizer(TINY.tokenizer)
    code.colour.fit(to_float(torch.from_numpy(dot(9, 40).frames)))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return ClipStage(model, code, replace(TINY.settings, hold=0.0), TINY.loss, NoBody(), NoMemory())


def batch() -> ClipBatch:
    clips = [dot(seed, 7) for seed in range(2)]
    frames = torch.from_numpy(np.stack([clip.frames for clip in clips]))
    actions = torch.from_numpy(np.stack([clip.actions for clip in clips]))
    return ClipBatch(frames, actions, actions[..., :0], ())


def test_a_rollouts_training_pass_is_what_play_computed(stage: ClipStage) -> None:
    """One pass over a clip whose frames the model drew itself gives those frames again: the same
    conditions, controls, levels, and the same keys and values of the past."""
    given = batch()
    shown = rollout(stage.parts, stage.body, given, torch.Generator().manual_seed(0))
    assert torch.equal(shown[:, :GIVEN], given.frames[:, :GIVEN])
    assert not torch.equal(shown, given.frames)
    before, told = conditions(stage.parts, given, shown), given.actions[:, 1:]
    with torch.no_grad():
        again = stage.model(torch.zeros_like(before), torch.ones(before.shape[:2]), told, before)
    code = stage.parts.tokenizer
    made = code.decode(again.flatten(0, 1).clamp(-8, 8))[0].unflatten(0, before.shape[:2])
    error = (made.clamp(-1, 1) - to_float(shown[:, 1:]))[:, GIVEN - 1 :]
    assert error.abs().max() * 127.5 < 0.51  # rounding to uint8


def test_losses_are_finite_and_depend_on_the_moment_alone(stage: ClipStage) -> None:
    for progress in (0.0, 1.0):
        values = [
            stage.loss(batch(), Moment(0, progress, torch.Generator().manual_seed(3), {}))[0]
            for _ in range(2)
        ]
        assert torch.isfinite(values[0]) and torch.equal(*values)


def test_batches_are_clips_and_depend_on_their_number_alone(dots: Path, tmp_path: Path) -> None:
    flat_runner.run(job(dots, tmp_path), "frames")
    batches = iter(ClipLoader(tmp_path / "frames", NoMemory(), 6, 2))
    first, second = next(batches), next(batches)
    again = next(iter(ClipLoader(tmp_path / "frames", NoMemory(), 6, 2, first=1)))
    assert torch.equal(second.frames, again.frames) and not torch.equal(first.frames, second.frames)
    assert len(first) == 12 and first.frames.shape == (2, 7, 24, 36, 3)
    whole = {dot(seed, 24).frames[i : i + 7].tobytes() for seed in range(6) for i in range(18)}
    assert all(one.numpy().tobytes() in whole for one in (*first.frames, *second.frames))


@pytest.mark.parametrize(
    "name", [name for name in RECIPES if isinstance(RECIPES[name], FlatRecipe)]
)
def test_parts_of_a_flat_recipe_fit_each_other(name: str) -> None:
    recipe = RECIPES[name]
    assert isinstance(recipe, FlatRecipe) and recipe.name == name
    sizes, picture = recipe.denoiser, recipe.tokenizer
    assert (sizes.tokens_h, sizes.tokens_w) == picture.grid and sizes.channels == picture.latents
    assert not picture.depth_channels and recipe.frames > GIVEN
    with pytest.raises((WorldError, UsageError), match=r"without (rays|masks)"):
        replace(recipe, denoiser=replace(sizes, rays=True, condition=True))


def test_what_cannot_be_trained_is_refused(dots: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"is for 96x96 pictures and .* has 36x24"):
        flat_runner.check(job(dots, tmp_path, PUSHT))
    three = replace(TINY, denoiser=replace(TINY.denoiser, control_width=3))
    with pytest.raises(RecipeError, match="actions of 3 numbers"):
        flat_runner.check(job(dots, tmp_path, three))
    with pytest.raises(RecipeError, match="no stage 'denoisr'; did you mean 'denoiser'"):
        flat_runner.run(job(dots, tmp_path), "denoisr")
    with pytest.raises(RecipeError, match="run the stage `frames` first"):
        flat_runner.run(job(dots, tmp_path), "denoiser")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [TINY, PLAIN, WORDS], ids=["view", "plain", "words"])
def test_recordings_become_a_world_that_is_played(
    recipe: FlatRecipe, dots: Path, tmp_path: Path
) -> None:
    """All stages; then the same again changes nothing, steps are undone and states go on."""
    flat_runner.run(job(dots, tmp_path, recipe))
    world = load_world(tmp_path / "world")
    assert world.memory.kind == "none" and world.body.kind == "none" and world.splits["train"]
    if recipe.distil is not None:  # a student is played as it was taught
        assert world.settings.sigmas == world.settings.trained == recipe.distil.sigmas
        assert world.settings.method == "refine"
    source = world.starts()
    assert len(world.splits["openings"]) == 3
    assert source.lengths == [3, 3, 3, 3, 1, 1, 1], "tails, then first frames of odd recordings"
    odd = [dot(seed, 1).frames[0] for seed in (1, 3, 5)]
    opened = [source.read(index).frames[0] for index in (4, 5, 6)]
    assert all(min(abs(a.astype(int) - b).max() for b in odd) <= 2 for a in opened)
    before = world.fingerprint
    flat_runner.run(job(dots, tmp_path, recipe))
    assert load_world(tmp_path / "world").fingerprint == before
    env = gymnasium.make("NFD-v0", world=str(tmp_path / "world"), engine="eager")
    clip, inner = dot(20, 5), env.unwrapped
    first, _ = env.reset(seed=1, options={"frames": clip.frames, "actions": clip.actions})
    assert np.array_equal(first, clip.frames[-1])
    told = [env.action_space.sample() for _ in range(4)]
    saved = inner.save_state()
    frames = [env.step(action)[0] for action in told]
    assert len({frame.tobytes() for frame in frames}) > 1
    inner.undo(2)
    assert np.array_equal(env.step(told[2])[0], frames[2])
    inner.load_state(saved)
    assert all(np.array_equal(env.step(a)[0], f) for a, f in zip(told, frames, strict=True))
    with pytest.raises((EngineError, UsageError)) if recipe is WORDS else nullcontext():
        Session(world, engine="compile")
    env.close()


def job(data: Path, out: Path, recipe: FlatRecipe = TINY) -> flat_runner.FlatJob:
    return flat_runner.FlatJob(recipe=recipe, data=data, out=out)
