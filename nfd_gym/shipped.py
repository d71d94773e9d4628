"""Files that come with the package: worlds and trained agents."""

import os
from pathlib import Path

ASSETS = Path(__file__).parent / "assets"
DEFAULT_WORLD = "minecraft-island"


def shipped(kind: str, assets: Path = ASSETS) -> dict[str, Path]:
    """Name -> path of every shipped thing of a kind: "worlds" or "agents"."""
    folder = assets / kind
    if not folder.is_dir():
        return {}
    return {path.stem: path for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


def is_name(text: str) -> bool:
    """Whether `text` can be the name of a shipped thing: it has no folder in it."""
    return "/" not in text and os.sep not in text and text not in ("", ".", "..")
