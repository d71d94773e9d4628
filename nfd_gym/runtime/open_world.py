"""Worlds by name or folder; one copy of the weights per process, however many envs ask."""

import threading
import weakref
from pathlib import Path

from nfd_gym.model.device import find_device
from nfd_gym.settings import nearest
from nfd_gym.shipped import is_name, shipped
from nfd_gym.world import World, WorldError, load_world

_open: "weakref.WeakValueDictionary[tuple[Path, float, str], World]"
_open = weakref.WeakValueDictionary()
_opening = threading.Lock()


def open_world(world: str | Path | World, device: str = "cpu") -> World:
    """The world in a folder, or a shipped one by its name; a World passes through."""
    if isinstance(world, World):
        find_device(device)
        return world
    folder = find_world(world)
    description = folder / "world.json"
    changed = description.stat().st_mtime if description.is_file() else 0.0
    key = (folder.resolve(), changed, str(find_device(device)))
    with _opening:
        model = _open.get(key)
        if model is None:
            model = _open[key] = load_world(folder, device)
        return model


def find_world(name: str | Path) -> Path:
    """The shipped world called `name`, else the folder `name`.

    A shipped name always means the shipped world, whatever lies in the current folder; write
    `./name` for a folder of the same name.
    """
    text = str(name)
    worlds = shipped("worlds")
    if isinstance(name, str) and is_name(text) and text in worlds:
        return worlds[text]
    folder = Path(name)
    if folder.is_dir():
        return folder
    known = (
        f"did you mean {nearest(text, worlds)!r}?"
        if worlds
        else "this installation ships none; give a world's folder."
    )
    raise WorldError(f"no world {text!r}: it is no folder and no shipped world; {known}")
