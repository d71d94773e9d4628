"""One file per origin of recordings; `open_source` finds the right one."""

import importlib
from pathlib import Path
from typing import Any

from nfd_gym.actions import ActionCodec
from nfd_gym.data.clip import DataError, Source
from nfd_gym.data.codecs import require_actions
from nfd_gym.settings import nearest

# kind -> (module, class). Imported when needed: a VPT user has no pyarrow.
KINDS = {
    "lerobot": ("nfd_gym.data.sources.lerobot", "LeRobotSource"),
    "minari": ("nfd_gym.data.sources.minari", "MinariSource"),
    "minerl": ("nfd_gym.data.sources.minerl", "MineRLSource"),
    "vpt": ("nfd_gym.data.sources.vpt", "VPTSource"),
    "npz": ("nfd_gym.data.sources.npz", "NpzSource"),
}


MEASURED = ("lerobot", "npz")  # kinds that may measure the ranges of their actions


def open_source(
    path: str | Path,
    kind: str | None = None,
    *,
    codec: ActionCodec | None = None,
    **options: Any,
) -> Source:
    """Open recordings of any known layout; `kind` forces one (vpt npz minari lerobot minerl).

    With `codec`, that of a world or of the training data, the actions mean the same as there:
    measured ranges are replaced by it, and recordings of other actions are refused.
    """
    path = Path(path)
    kind = kind or detect(path)
    if kind not in KINDS:
        raise DataError(f"no kind of recording {kind!r}; did you mean {nearest(kind, KINDS)!r}?")
    module, name = KINDS[kind]
    if codec is not None and kind in MEASURED:
        options["codec"] = codec
    source: Source = getattr(importlib.import_module(module), name)(path, **options)
    if codec is not None:
        require_actions(source.codec, codec, str(path), "the given codec")
    return source


def detect(path: Path) -> str:
    """What a path holds, by its marker files."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; check the path.")
    if path.suffix == ".npz":
        return "npz"
    if (path / "meta" / "info.json").exists():
        return "lerobot"
    if (path / "data" / "metadata.json").exists() or (path / "main_data.hdf5").exists():
        return "minari"
    if (path / "rendered.npz").exists() or any(path.glob("*/rendered.npz")):
        return "minerl"
    if (path / "index.json").exists() or any(path.glob("*.mp4")):
        return "vpt"
    if any(path.glob("*.npz")):
        return "npz"
    raise DataError(
        f"{path}: no recordings found here; expected NAME.mp4 + NAME.jsonl (VPT), NAME.npz, a "
        "Minari dataset (data/metadata.json), a LeRobot v3 dataset (meta/info.json) or MineRL "
        "episodes (*/rendered.npz)."
    )
