"""Recipes: consistent before anything is trained, refused by name, and run from end to end."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest

import nfd_gym  # noqa: F401  registers NFD-v0
from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.cli import main
from nfd_gym.data.store import ClipWriter
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.eye import EyeBody
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train import runner
from nfd_gym.train.cli import chosen
from nfd_gym.train.recipe import Recipe, RecipeError
from nfd_gym.train.recipes import RECIPES, find_recipe
from nfd_gym.train.recipes.micro import MICRO
from nfd_gym.world import load_world
from tests.walks import walk

MICRO_CODEC = KeysAndMouse(camera=Camera(72.0))


@pytest.mark.parametrize("name", [name for name in RECIPES if isinstance(RECIPES[name], Recipe)])
def test_parts_of_a_recipe_fit_each_other(name: str) -> None:
    recipe = RECIPES[name]
    assert isinstance(recipe, Recipe)
    sizes, picture = recipe.denoiser, recipe.tokenizer
    assert (sizes.tokens_h, sizes.tokens_w) == picture.grid and sizes.channels == picture.latents
    assert sizes.control_width == 25 + EyeBody(recipe.body).width
    assert len(recipe.nodes) == len(recipe.body.kinds) and recipe.fov_y == sizes.fov_y
    assert Tokenizer(picture) and recipe.name == name
    assert (recipe.loop.minutes > 0) != (recipe.loop.steps > 0)


def test_the_command_line_changes_budget_and_settings() -> None:
    island = find_recipe("island")
    assert chosen("island", [], None) == island
    changed = chosen("micro", ["loop.lr=0.25", "views.every=3", "loop.steps=7"], None)
    assert changed.loop == replace(MICRO.loop, lr=0.25, steps=7) and changed.views.every == 3.0
    assert chosen("micro", [], 2.5).loop == replace(MICRO.loop, minutes=2.5, steps=0)


def test_a_recipe_of_ones_own_lies_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`nfd-gym`, unlike python -m, does not find modules there by itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    Path("own_micro.py").write_text(
        "from dataclasses import replace\nfrom nfd_gym.train.recipes import MICRO\n"
        "MINE = replace(MICRO, name='mine')\n"
    )
    words = ["train", "--data", "none", "--out", "none", "--dry-run"]
    assert main([*words, "--recipe", "own_micro:MINE"]) == 0
    assert '"mine"' in capsys.readouterr().out
    for name, refusal in (("own_micro:MIEN", "has no attribute 'MIEN'"),
                          ("own_macro:MINE", "No module named 'own_macro'"),
                          ("own_micro:MICRO.name", "has no attribute"),
                          ("own_micro:replace", "is no recipe")):  # fmt: skip
        assert main([*words, "--recipe", name]) == 2
        assert refusal in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--recipe ilsand", "no recipe 'ilsand'; did you mean 'island'"),
        ("--recipe micro --stage denoisr", "no stage 'denoisr'; did you mean 'denoiser'"),
        ("--recipe micro --minutes 0", "--minutes must be above 0"),
        ("--recipe micro --set loop.device=moon", "no device 'moon'; use 'cpu' or 'cuda'"),
        ("--recipe micro --workers 0", "--workers must be at least 1"),
        ("--recipe micro --set loop.stesp=1", "did you mean 'loop.steps'"),
        ("--recipe island", "is for 192x112 pictures and .* has 48x32"),
        ("--recipe micro --stage views", "run the stage `tokenizer` first"),
        ("--recipe micro --stage body", "run the stage `views` first"),
        ("--recipe micro --stage denoiser", "run the stage `views` first"),
        ("--recipe micro --stage world", "run the stage `tokenizer` first"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(
    words: str,
    message: str,
    room_store: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folders = ["--data", str(room_store), "--out", str(tmp_path / "run")]
    assert main(["train", *words.split(), *folders]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert re.search(message, line), line


def test_recordings_without_depth_are_refused(tmp_path: Path) -> None:
    clip = replace(walk(0, 4), depth=None, pose=None)
    store = ClipWriter(tmp_path / "flat", MICRO_CODEC, fps=20.0, size=clip.frames.shape[1:3])
    store.write(clip)
    with pytest.raises(RecipeError, match="needs depth and poses"):
        runner.check(job(tmp_path / "flat", tmp_path))


def test_another_width_of_control_is_refused(room_store: Path, tmp_path: Path) -> None:
    wrong = replace(MICRO, denoiser=replace(MICRO.denoiser, control_width=99))
    with pytest.raises(RecipeError, match="takes 99 numbers"):
        runner.check(job(room_store, tmp_path, wrong))


def test_views_go_on_with_as_many_workers_as_they_began(room_store: Path, tmp_path: Path) -> None:
    for stage in ("tokenizer", "atlas", "templates", "views"):
        runner.run(job(room_store, tmp_path, clips=1), stage)
    kept = sorted(path.name for path in (tmp_path / "views").iterdir())
    runner.run(job(room_store, tmp_path, clips=1), "views")
    assert sorted(path.name for path in (tmp_path / "views").iterdir()) == kept
    with pytest.raises(RecipeError, match="begun with --workers 1"):
        runner.run(job(room_store, tmp_path, clips=1, workers=2), "views")


@pytest.mark.slow
def test_a_recipe_runs_from_recordings_to_a_world_that_is_played(
    room_store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All stages by the command line, two workers; then the same command changes nothing."""
    words = [
        "train",
        "--recipe",
        "micro",
        "--data",
        str(room_store),
        "--out",
        str(tmp_path / "run"),
    ]
    assert main([*words, "--workers", "2"]) == 0
    made = tmp_path / "run" / "world"
    assert f"play it with `nfd-gym play --world {made}`" in capsys.readouterr().out
    world = load_world(made)
    untrained = Denoiser(world.denoiser.config).state_dict()
    assert any(
        (untrained[key] != value).any() for key, value in world.denoiser.state_dict().items()
    )
    assert world.memory.kind == "points" and world.body.kind == "eye" and world.splits["test"]
    before = world.fingerprint
    assert main([*words, "--workers", "2"]) == 0
    assert load_world(made).fingerprint == before

    env = gymnasium.make("NFD-v0", world=str(made), task="travel", action_space="discrete")
    env.action_space.seed(0)
    frames = [env.reset(seed=0)[0]]
    for _ in range(5):
        frame, _, _, _, info = env.step(env.action_space.sample())
        frames.append(frame)
    env.close()
    assert frames[0].shape == (32, 48, 3) and len(info["eye"]) == 5
    assert len(np.unique(np.stack(frames), axis=0)) > 3


def job(data: Path, out: Path, recipe: Recipe = MICRO, **given: int) -> runner.Job:
    return runner.Job(recipe=recipe, data=data, out=out, **{"workers": 1, **given})  # type: ignore[arg-type]
