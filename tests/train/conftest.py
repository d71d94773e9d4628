"""Runs of the micro preset, by the same functions that the command line calls."""

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from nfd_gym.train import cli

Train = Callable[..., Path]


def run_train(*words: str) -> None:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    assert cli.main(parser.parse_args(words)) == 0


@pytest.fixture
def train(texture_store: Path, tmp_path: Path, tokenizer_run: Path) -> Train:
    """train(stage, out, **settings): a run of a few steps; the same call again resumes it."""

    def run(stage: str, out: str, *flags: str, steps: int = 4, **settings: object) -> Path:
        words = [stage, "--data", str(texture_store), "--out", str(tmp_path / out), *flags]
        words += ["--preset", "micro", "--set", f"loop.steps={steps}", "--set", "loop.log_every=1"]
        words += ["--set", "batch=2", "--set", "window=3", "--set", "loop.warmup=1"]
        for key, value in settings.items():
            words += ["--set", f"{key.replace('__', '.')}={value}"]
        words += (
            ["--tokenizer", str(tokenizer_run)]
            if stage == "denoiser"
            else ["--set", "pca_frames=32"]
        )
        run_train(*words)
        return tmp_path / out

    return run


@pytest.fixture(scope="session")
def tokenizer_run(texture_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer, hardly trained beyond its PCA."""
    out = tmp_path_factory.mktemp("runs") / "tokenizer"
    run_train(
        "tokenizer", "--data", str(texture_store), "--out", str(out), "--preset", "micro",
        "--set", "loop.steps=2", "--set", "batch=2", "--set", "window=2",
        "--set", "pca_frames=32",
    )  # fmt: skip
    return out
