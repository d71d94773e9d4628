"""Every example runs and its own assertions hold."""

import runpy
import sys
from pathlib import Path

import pytest

from nfd_gym.shipped import DEFAULT_WORLD

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(example: Path, world: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [example.name, str(world)])
    monkeypatch.setattr(sys, "path", list(sys.path))  # an example may add to it
    runpy.run_path(str(example), run_name="__main__")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run_in_an_untrained_world(
    example: Path, points_world_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(example, points_world_path, tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_examples_run_in_the_shipped_world(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(example, Path(DEFAULT_WORLD), tmp_path, monkeypatch)


def test_examples_are_numbered_short_and_assert_something() -> None:
    assert [int(path.name[:2]) for path in EXAMPLES] == list(range(1, len(EXAMPLES) + 1))
    for path in EXAMPLES:
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= 60, path.name
        assert "\nassert " in text, path.name
        assert f"python examples/{path.name}" in text
