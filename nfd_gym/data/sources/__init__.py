"""One file per origin of recordings; `open_source` finds the right one."""

from pathlib import Path

from nfd_gym.data.clip import DataError, Source


def open_source(path: str | Path, kind: str | None = None) -> Source:
    """Open recordings of any known layout; `kind` forces one (vpt npz minari lerobot)."""
    folder = Path(path)
    from nfd_gym.data.sources.vpt import VPTSource

    if kind in (None, "vpt"):
        return VPTSource(folder)
    raise DataError(f"{folder}: unknown kind of recording {kind!r}.")
