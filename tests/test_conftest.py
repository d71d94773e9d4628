"""The suite's own guards see what they guard against."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import alike, changes


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git checkout with one committed file."""
    (tmp_path / "file.md").write_text("as committed")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    return tmp_path


def test_changes_sees_a_tracked_file_change_and_change_again(checkout: Path) -> None:
    assert changes(checkout) == {}
    (checkout / "untracked").write_text("is not ours")
    assert changes(checkout) == {}
    (checkout / "file.md").write_text("by a person")
    before = changes(checkout)
    (checkout / "file.md").write_text("by a test")
    assert set(before) == {"file.md"} and changes(checkout) != before
    (checkout / "file.md").unlink()
    assert changes(checkout) == {"file.md": "deleted"}


def test_changes_of_a_folder_without_git_is_nothing(tmp_path: Path) -> None:
    assert changes(tmp_path) == {}


def test_alike_allows_rounding_and_refuses_wrong_regions() -> None:
    """A wrong patch of 2 % of the picture once counted as rounding."""
    picture = np.full((32, 48, 3), 100, np.uint8)
    rounded = picture.copy()
    rounded[::3] += 1
    assert alike(picture, rounded) and not alike(picture, rounded + 2)
    neighbours = picture.copy()
    neighbours[0, :24] += 12  # 1.6 % of the values, a few levels
    assert alike(picture, neighbours)
    patch = picture.copy()
    patch[:6, :5] += 20  # 2 % of the values, plainly another picture
    assert not alike(picture, patch)
