"""Converted models, kept per machine so that only the first start pays for the conversion."""

import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import nfd_gym

KEPT = 12  # folders; the oldest go first


def cache_folder() -> Path:
    """Where this user's converted models lie; NFD_GYM_CACHE names another place."""
    named = os.environ.get("NFD_GYM_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nfd_gym"


def converted(key: str, make: Callable[[Path], None]) -> Path:
    """The folder of a conversion, made by `make(folder)` if it is not there; never half written."""
    digest = hashlib.sha256(f"{key} {code_version()}".encode()).hexdigest()[:24]
    home = cache_folder() / "converted"
    folder = home / digest
    if folder.is_dir():
        os.utime(folder)
        return folder
    home.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".making-", dir=home))
    try:
        make(temporary)
        for file in temporary.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        try:
            temporary.rename(folder)
        except OSError:  # another process finished the same conversion first
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _forget_oldest(home)
    return folder


@functools.cache
def code_version() -> str:
    """Changes with the code that a conversion bakes in: weights alone do not name a graph."""
    root = Path(nfd_gym.__file__).parent
    files = [*(root / "model").glob("*.py"), root / "runtime" / "engines" / "window.py"]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _forget_oldest(home: Path) -> None:
    folders = [f for f in home.iterdir() if f.is_dir() and not f.name.startswith(".making-")]
    folders.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in folders[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)
