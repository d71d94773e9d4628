"""`python -m nfd_gym distill` from a teacher's run to a student's run."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from nfd_gym import settings
from nfd_gym.cli import main
from nfd_gym.train import checkpoint, loop, runs
from nfd_gym.world import WorldModel


class Killed(BaseException):
    """Nothing catches it, as nothing catches a power cut."""


@pytest.fixture
def teacher(tiny_world: WorldModel, tmp_path: Path) -> Path:
    """The tiny world as two runs of training, as if they had been trained."""
    parts = {
        "tokenizer": (tiny_world.tokenizer, runs.TokenizerRun(model=tiny_world.tokenizer.config)),
        "denoiser": (
            tiny_world.denoiser,
            runs.DenoiserRun(
                model=tiny_world.denoiser.config, tokenizer=str(tmp_path / "tokenizer"), batch=2,
                window=3,
            ),
        ),
    }  # fmt: skip
    for name, (net, config) in parts.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "settings.json").write_text(json.dumps(settings.to_json(config)))
        tensors = {f"ema.{key}": value for key, value in net.state_dict().items()}
        checkpoint.save(folder / "checkpoint.safetensors", tensors, {"step": 0})
    return tmp_path / "denoiser"


def distill(teacher: Path, data: Path, out: Path, *more: str, steps: int = 3) -> int:
    words = ["distill", "--teacher", str(teacher), "--data", str(data), "--out", str(out)]
    words += ["--set", f"loop.steps={steps}", "--set", "loop.log_every=1", *more]
    return main(words)


def test_a_student_comes_out_and_resuming_changes_nothing(
    teacher: Path, tiny_world_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tiny_world_path / "starts"
    full = ("--recipe", "full", "--set", "loss.critic_from=1", "--set", "loss.grid=6")
    assert distill(teacher, data, tmp_path / "once", *full, steps=4) == 0
    printed = capsys.readouterr().out
    assert "watch 0: teacher" in printed and "watch at the end" in printed
    once, _ = runs.load_denoiser(tmp_path / "once")
    # A fixed budget, killed after two steps: the learning rate depends on the budget.
    with pytest.MonkeyPatch.context() as patch:
        real, count = loop.schedule, []

        def dying(*arguments: float) -> float:
            count.append(0)
            if len(count) == 3:
                raise Killed
            return real(*arguments)

        patch.setattr(loop, "schedule", dying)
        with pytest.raises(Killed):
            distill(teacher, data, tmp_path / "twice", *full, steps=4)
    assert distill(teacher, data, tmp_path / "twice", *full, steps=4) == 0
    twice, config = runs.load_denoiser(tmp_path / "twice")
    assert isinstance(config, runs.DistillRun) and config.loss.pixel_share == 0.5
    start, _ = runs.load_denoiser(teacher)
    for key, value in once.state_dict().items():
        assert torch.equal(value, twice.state_dict()[key]), key
    assert not torch.equal(once.tokens_out.weight, start.tokens_out.weight)


def test_a_denoiser_can_go_on_from_a_student(
    teacher: Path, tiny_world_path: Path, tmp_path: Path
) -> None:
    """Its critics, stored beside it, are left behind."""
    assert distill(teacher, tiny_world_path / "starts", tmp_path / "out", steps=1) == 0
    student, begun = runs.load_denoiser(tmp_path / "out")[0], runs.start_weights(tmp_path / "out")
    assert begun.keys() == student.state_dict().keys()
    assert all(torch.equal(value, begun[key]) for key, value in student.state_dict().items())


def test_continuous_recipes_give_an_anchored_student_that_starts_as_the_teacher(
    teacher: Path, tiny_world_path: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scm"
    assert distill(teacher, tiny_world_path / "starts", out, "--recipe", "scm", steps=1) == 0
    student, _ = runs.load_denoiser(out)
    first, _ = runs.load_denoiser(teacher)
    assert student.config.form == "anchored" and first.config.form == "x"
    inputs = (
        torch.randn(1, 2, 6, 8),
        torch.ones(1, 2),
        torch.zeros(1, 2, 25),
        torch.randn(1, 2, 6, first.config.given),
    )
    distance = (student(*inputs) - first(*inputs)).abs().mean() / first(*inputs).abs().mean()
    assert distance < 0.02  # at level 1 the forms agree; one warm-up step has been taken


def test_critics_go_on_from_another_run(
    teacher: Path, tiny_world_path: Path, tmp_path: Path
) -> None:
    data, full = tiny_world_path / "starts", ("--recipe", "full", "--set", "loop.lr=0")
    assert distill(teacher, data, tmp_path / "first", "--recipe", "full", steps=2) == 0
    more = ("--critics", str(tmp_path / "first"))
    assert distill(teacher, data, tmp_path / "second", *full, *more, steps=1) == 0
    assert distill(teacher, data, tmp_path / "fresh", *full, steps=1) == 0
    first, second, fresh = (
        loop.weights(tmp_path / name)["pixel_critic.action.weight"]
        for name in ("first", "second", "fresh")
    )
    assert torch.allclose(first, second) and not torch.allclose(first, fresh)
    with pytest.raises(ValueError, match="no feature_critic to begin with"):
        distill(
            teacher, data, tmp_path / "third", *full, *more, "--set", "loss.feature_share=0.5",
            steps=1,
        )  # fmt: skip


def test_settings_and_mistakes(
    teacher: Path, tiny_world_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tiny_world_path / "starts"
    assert distill(teacher, data, tmp_path / "dry", "--dry-run", "--steps", "1,2,4") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["loss"]["steps"] == [1, 2, 4] and not (tmp_path / "dry").exists()
    with pytest.raises(ValueError, match="steps must be of"):
        distill(teacher, data, tmp_path / "seven", "--steps", "7")
    with pytest.raises(ValueError, match="form 'x'"):
        distill(teacher, data, tmp_path / "x", "--recipe", "scm", "--set", "model.form=x")
    other = shutil.copytree(teacher, tmp_path / "other")
    described = json.loads((other / "settings.json").read_text())
    described["model"]["action_width"] = 7
    (other / "settings.json").write_text(json.dumps(described))
    with pytest.raises((ValueError, RuntimeError)):
        distill(other, data, tmp_path / "never")
