"""The folder of one running game: world, mods, settings. It lives as long as the instance."""

import fcntl
import os
import shutil
import tempfile
import time
from importlib.resources import files
from pathlib import Path

PREFIX = "nfd_luanti_"
MAPGENS = ("v7", "valleys", "carpathian", "fractal", "v5", "flat")

WORLD = """gameid = minetest
world_name = nfd
backend = dummy
player_backend = dummy
auth_backend = sqlite3
mod_storage_backend = sqlite3
creative_mode = false
enable_damage = false
server_announce = false
"""


def create(width: int, height: int, world_seed: int, mapgen: str) -> tuple[Path, int]:
    """Writes a new folder. Returns it with a locked descriptor: the folder is in use while any
    process holds that lock, and whoever finds it free may sweep it."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    package = files("nfd_gym.games.luanti")
    for side, place in (
        ("server", folder / "world" / "worldmods" / "nfd_server"),
        ("client", folder / "home" / ".minetest" / "clientmods" / "nfd_client"),
    ):
        place.mkdir(parents=True)
        for item in package.joinpath("mods", side).iterdir():
            (place / item.name).write_bytes(item.read_bytes())
    clientmods = folder / "home" / ".minetest" / "clientmods"
    (clientmods / "mods.conf").write_text("load_mod_nfd_client = true\n")
    (folder / "world" / "world.mt").write_text(WORLD)
    (folder / "game.conf").write_text(
        package.joinpath("game.conf").read_text()
        + f"screen_w = {width}\nscreen_h = {height}\n"
        + f"fixed_map_seed = {world_seed}\nmg_name = {mapgen}\n"
    )
    return folder, lock


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
