"""Worlds by name or folder; one copy of the weights per process, however many envs ask."""

import threading
import weakref
from pathlib import Path

import nfd_gym
from nfd_gym.runtime.engine import find_device
from nfd_gym.settings import nearest
from nfd_gym.world import WorldError, WorldModel

_open: "weakref.WeakValueDictionary[tuple[Path, float, str], WorldModel]"
_open = weakref.WeakValueDictionary()
_opening = threading.Lock()


def open_world(world: str | Path | WorldModel, device: str = "cpu") -> WorldModel:
    """The world in a folder, or a shipped one by its name; a WorldModel passes through."""
    if isinstance(world, WorldModel):
        find_device(device)
        return world
    folder = find_world(world)
    description = folder / "world.json"
    changed = description.stat().st_mtime if description.is_file() else 0.0
    key = (folder.resolve(), changed, str(find_device(device)))
    with _opening:
        model = _open.get(key)
        if model is None:
            model = _open[key] = WorldModel.load(folder, device)
        return model


def find_world(name: str | Path) -> Path:
    """The folder called `name`, here or among the shipped worlds."""
    folder = Path(name)
    if folder.is_dir():
        return folder
    shipped = {path.name: path for home in _homes() for path in home.iterdir() if path.is_dir()}
    if str(name) in shipped:
        return shipped[str(name)]
    known = f"did you mean {nearest(str(name), shipped)!r}?" if shipped else "none is shipped."
    raise WorldError(f"no world {str(name)!r}: it is no folder and no shipped world; {known}")


def _homes() -> list[Path]:
    package = Path(nfd_gym.__file__).parent
    homes = [package / "assets" / "worlds", package.parent / "assets" / "worlds"]
    return [home for home in homes if home.is_dir()]
