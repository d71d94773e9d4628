"""The folder of one running game: world, mods, settings. It lives as long as the instance."""

import fcntl
import os
import shutil
import tempfile
import time
from importlib.resources import files
from pathlib import Path

from nfd_gym.errors import NfdError
from nfd_gym.games.luanti import textures

PREFIX = "nfd_luanti_"
GAMES = ("island", "minetest")
MAPGENS = ("v7", "valleys", "carpathian", "fractal", "v5", "flat")

ISLAND_FILES = ("game.conf", *(f"mods/island/{name}" for name in ("mod.conf", "init.lua",
                "nodes.lua", "land.lua", "things.lua")))  # fmt: skip

WORLD = """gameid = {game}
world_name = nfd
backend = dummy
player_backend = dummy
auth_backend = sqlite3
mod_storage_backend = sqlite3
creative_mode = false
enable_damage = false
server_announce = false
"""


class DamagedGame(NfdError, RuntimeError):
    """A file of the island is missing from the installation."""


def create(
    width: int, height: int, world_seed: int, mapgen: str, game: str = "minetest"
) -> tuple[Path, int]:
    """Writes a new folder. Returns it with a locked descriptor: the folder is in use while any
    process holds that lock, and whoever finds it free may sweep it."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    # Locked before it has its name: a sweeper never finds it free.
    unnamed = folder / "lock.new"
    lock = os.open(unnamed, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    unnamed.rename(folder / "lock")
    try:
        _fill(folder, width, height, world_seed, mapgen, game)
    except FileNotFoundError as error:
        os.close(lock)
        shutil.rmtree(folder)
        raise DamagedGame(
            f"{error.filename} is missing from this installation; install nfd_gym again."
        ) from error
    return folder, lock


def _fill(folder: Path, width: int, height: int, seed: int, mapgen: str, game: str) -> None:
    package, home = Path(str(files("nfd_gym.games.luanti"))), folder / "home" / ".minetest"
    shutil.copytree(package / "mods" / "server", folder / "world" / "worldmods" / "nfd_server")
    shutil.copytree(package / "mods" / "client", home / "clientmods" / "nfd_client")
    (home / "clientmods" / "mods.conf").write_text("load_mod_nfd_client = true\n")
    settings = (package / "game.conf").read_text()
    if game == "island":
        shutil.copytree(package / "island", home / "games" / "island")
        for needed in ISLAND_FILES:
            (home / "games" / "island" / needed).stat()
        textures.write(home / "games" / "island" / "mods" / "island" / "textures")
        settings += (package / "island.conf").read_text()
        mapgen = "singlenode"
    (folder / "world" / "world.mt").write_text(WORLD.format(game=game))
    (folder / "game.conf").write_text(
        settings
        + f"screen_w = {width}\nscreen_h = {height}\n"
        + f"fixed_map_seed = {seed}\nmg_name = {mapgen}\n"
    )


def sweep() -> None:
    """Deletes folders whose supervisor was killed itself: those that nobody locks any more."""
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        try:
            lock = os.open(folder / "lock", os.O_RDWR)
        except FileNotFoundError:  # just being created, or being deleted
            if time.time() - _age(folder) > 3600:
                shutil.rmtree(folder, ignore_errors=True)
            continue
        except PermissionError:
            continue  # another user's
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _age(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return time.time()
