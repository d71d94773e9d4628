"""Says what this machine lacks for Luanti-v0, and the command that installs it."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from nfd_gym.games.luanti import shim

PACKAGES = "minetest xvfb libgl1-mesa-dri gcc libc6-dev"
APT = f"apt-get update && apt-get install -y --no-install-recommends {PACKAGES}"
PIP = "pip install 'nfd_gym[luanti]'"
TESTED = "5.6"  # the game's version the shim and the mods are tested with
GAMES = (
    "/usr/share/games/minetest/games/minetest_game",
    "/usr/share/minetest/games/minetest_game",
    "/usr/local/share/minetest/games/minetest_game",
)


def find_game() -> str | None:
    """Debian puts games into /usr/games, which root's PATH lacks."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/games:/usr/local/games"
    return shutil.which("minetest", path=path)


def software_renderer() -> bool:
    """Mesa's software driver, without which Xvfb offers no OpenGL."""
    folders = [Path("/usr/lib"), Path("/usr/lib64"), Path("/usr/local/lib")]
    patterns = ("dri/swrast_dri.so", "*/dri/swrast_dri.so", "*/dri/libdril_dri.so", "*/libgallium*")
    return any(next(folder.glob(pattern), None) for folder in folders for pattern in patterns)


def check(game: str = "island") -> list[str]:
    """Everything that is missing, one sentence each; empty when Luanti-v0 can start that game."""
    if not sys.platform.startswith("linux"):
        return ["Luanti-v0 needs Linux: the game is driven through a preloaded library."]
    missing = []
    if find_game() is None:
        missing.append("The game `minetest` is not installed.")
    elif game == "minetest" and not any(Path(folder).is_dir() for folder in GAMES):
        missing.append("Minetest Game (package minetest-data) is not installed.")
    if shutil.which("Xvfb") is None:
        missing.append("The virtual display `Xvfb` is not installed.")
    if not software_renderer():
        missing.append("Mesa's software renderer (package libgl1-mesa-dri) is not installed.")
    if shim.compiler() is None:
        missing.append("No C compiler (cc, gcc or clang) is installed.")
    missing = [f"{sentence} Type: {APT}" for sentence in missing]
    if importlib.util.find_spec("Xlib") is None:
        missing.append(f"The Python package python-xlib is not installed. Type: {PIP}")
    return missing


def version() -> str | None:
    """The installed game's version, such as "5.6.1"."""
    game = find_game()
    if game is None:
        return None
    said = subprocess.run([game, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+\.\d+\.\d+)", said)
    return found.group(1) if found else None


def main() -> int:
    """`python -m nfd_gym.games.luanti`: prints the result; used by `make world`."""
    missing = check()
    for sentence in missing:
        print(sentence)
    if missing:
        return 1
    found = version()
    print(f"Luanti-v0 is ready: minetest {found}, {shim.compiler()}, shim {shim.build().name}")
    if found and not found.startswith(TESTED):
        print(f"Note: it is tested with {TESTED}; another version may refuse to start.")
    return 0
