"""The loop: a killed run resumes to the same numbers, and a bad one stops with a sentence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nfd_gym.data import Loader, open_source
from nfd_gym.train import checkpoint, loop
from nfd_gym.train.loop import LoopConfig, Moment


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in lines(run)]


def state(run: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    return checkpoint.load(run / "checkpoint.safetensors")


def assert_same_state(one: Path, other: Path) -> None:
    (a, about), (b, about_b) = state(one), state(other)
    assert a.keys() == b.keys() and about["groups"] == about_b["groups"]
    different = [key for key in a if not torch.equal(a[key], b[key])]
    assert not different


@pytest.mark.parametrize("accumulate", [1, 2])
def test_resuming_equals_never_having_stopped(train: Any, accumulate: int) -> None:
    """Bit for bit: weights, averages, both optimisers, every loss."""
    straight = train("straight", steps=5, accumulate=accumulate)
    broken = train("broken", steps=2, accumulate=accumulate)
    assert len(losses(broken)) == 2
    train("broken", steps=5, accumulate=accumulate)
    assert losses(broken) == losses(straight) and len(losses(straight)) == 5
    assert_same_state(straight, broken)
    assert any(key.startswith("optimiser1.") for key in state(straight)[0]), "Muon's state too"
    before = losses(straight)
    train("straight", steps=5)  # its budget is spent: nothing happens
    assert losses(straight) == before


class Line:
    """The smallest stage: one weight that should become 3."""

    name = "line"

    def __init__(self) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.model.weight)
        self.break_at: int | None = None
        self.error: BaseException | None = None
        self.drawn: list[float] = []

    def loss(self, batch: Any, moment: Moment) -> tuple[Tensor, dict[str, float]]:
        self.drawn.append(torch.rand((), generator=moment.random).item())
        if moment.step == self.break_at:
            if self.error is not None:
                raise self.error
            return self.model.weight.sum() * float("nan"), {}
        return (self.model.weight - 3).square().sum(), {"more": 1.0}

    def picture(self, batch: Any) -> None:
        return None


def run_line(stage: Line, store: Path, run: Path, **settings: Any) -> dict[str, float]:
    source = open_source(store)
    config = LoopConfig(**{"steps": 10, "muon": False, "lr": 0.5, "log_every": 1, **settings})

    def loader_at(index: int, team: Any) -> Loader:
        return Loader(source, window=2, batch=1, seed=0, first=index)

    return loop.train(stage, loader_at, run, config, "cpu")


def test_an_interrupted_run_keeps_its_last_whole_step(texture_store: Path, tmp_path: Path) -> None:
    stage = Line()
    stage.break_at, stage.error = 6, KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run_line(stage, texture_store, tmp_path / "run")
    straight, again = Line(), Line()
    run_line(straight, texture_store, tmp_path / "straight")
    run_line(again, texture_store, tmp_path / "run")
    assert_same_state(tmp_path / "straight", tmp_path / "run")
    assert len(again.drawn) == 4 and stage.drawn[:6] + again.drawn == straight.drawn


def test_a_step_without_finite_gradient_is_skipped(texture_store: Path, tmp_path: Path) -> None:
    stage = Line()
    stage.break_at = 4
    run_line(stage, texture_store, tmp_path)
    weight = loop.weights(tmp_path, average=False)["weight"]
    assert weight.isfinite().all() and len(losses(tmp_path)) == 10
    assert np.isnan(losses(tmp_path)[4]) and np.isfinite(losses(tmp_path)[5])


def test_a_run_that_only_fails_gives_up(
    texture_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "PATIENCE", 3)
    stage = Line()
    nn.init.constant_(stage.model.weight, float("nan"))
    with pytest.raises(ValueError, match=r"3 steps in a row had no finite gradient; lower"):
        run_line(stage, texture_store, tmp_path)


def test_the_budget_is_given_once(texture_store: Path, tmp_path: Path) -> None:
    for minutes, steps in ((0.0, 0), (1.0, 5)):
        with pytest.raises(ValueError, match="give a budget: either --minutes M or"):
            run_line(Line(), texture_store, tmp_path, minutes=minutes, steps=steps)


def test_minutes_are_counted_over_all_resumes(texture_store: Path, tmp_path: Path) -> None:
    run_line(Line(), texture_store, tmp_path, steps=0, minutes=0.002)
    first = state(tmp_path)[1]
    assert first["spent"] >= 0.002 * 60 and first["step"] > 0
    run_line(Line(), texture_store, tmp_path, steps=0, minutes=0.002)
    assert state(tmp_path)[1]["step"] == first["step"]


def test_autocast_changes_the_loss_little(train: Any) -> None:
    exact, rough = (train(f"bf16-{on}", steps=2, bf16=on) for on in (False, True))
    assert losses(exact) != losses(rough)
    np.testing.assert_allclose(losses(rough), losses(exact), rtol=0.05)
