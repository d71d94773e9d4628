"""index.json: what a folder of clips holds. Optional in VPT recordings, always there in ours."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nfd_gym.data.clip import DataError

WRITER = "nfd_gym"


@dataclass(frozen=True)
class Index:
    """Clips of one folder: name -> number of frames (0: not counted yet)."""

    clips: dict[str, int]
    fps: float = 0.0
    codec: dict[str, Any] | None = None
    spec: dict[str, Any] = field(default_factory=dict)  # of the game; {}: not told
    ours: bool = False  # written by ClipWriter
    about: dict[str, dict[str, Any]] | None = None  # all it says of each clip; None: no index
    depth: bool = False  # every clip has a NAME.depth.mkv and poses
    fov_y: float | None = None  # vertical field of view in degrees
    env: str | None = None  # Gymnasium id of the game that was recorded


def read_index(folder: Path) -> Index:
    """The index of a folder, or a listing of its pairs when it has none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the folder that holds the mp4 files.")
    path = folder / "index.json"
    if not path.exists():
        pairs = sorted(video.stem for video in folder.glob("*.mp4"))
        return Index({name: 0 for name in pairs if (folder / f"{name}.jsonl").exists()})
    try:
        data = json.loads(path.read_text("utf-8"))
        entries = data["clips"]
        clips = {str(entry["name"]): int(entry["frames"]) for entry in entries}
        fps = float(data.get("fps") or 0)
        fov_y = None if data.get("fov_y") is None else float(data["fov_y"])
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{path}: not an index of clips ({type(error).__name__}: {error}); delete it "
            "and the folder is listed instead."
        ) from error
    for name in clips:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"{path}: the clip {name!r} points outside its folder; refused.")
    return Index(
        clips,
        fps=fps,
        codec=data.get("codec"),
        spec=dict(data.get("spec") or {}),
        ours=data.get("writer") == WRITER,
        about={str(entry["name"]): entry for entry in entries},
        depth=bool(data.get("depth")),
        fov_y=fov_y,
        env=data.get("env"),
    )
