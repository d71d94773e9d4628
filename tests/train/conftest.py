"""Runs of the small stage of stage.py."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train import stage

Train = Callable[..., Path]


@pytest.fixture
def train(texture_store: Path, tmp_path: Path) -> Train:
    """train(out, **settings): a run of a few steps; the same call again resumes it."""

    def run(out: str, *, steps: int = 4, **settings: Any) -> Path:
        return stage.train(texture_store, tmp_path / out, steps=steps, **settings)

    return run
