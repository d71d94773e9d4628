"""Files that are either whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nfd_gym.data.clip import DataError

PART = ".part"


def commit(part: Path, final: Path) -> None:
    """Side effect: `part` becomes `final`, safely on disk, replacing what was there."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, final)
    try:
        folder = os.open(final.parent, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders; its rename is on disk without it
        return
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Side effect: replaces a text file; a crash leaves the old one or the new one, never half."""
    part = path.with_name(f".{path.name}{PART}")
    with explain(path):
        part.write_text(text, encoding="utf-8")
        commit(part, path)


@contextmanager
def explain(path: Path) -> Iterator[None]:
    """Turn a full disk or a missing permission into one sentence."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); free space or choose another "
            "folder and run the same command again, finished clips are kept."
        ) from error
