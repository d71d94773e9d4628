"""Compiles the shim with the system's C compiler, once per machine and version."""

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "nfd_gym"


def compiler() -> str | None:
    """The C compiler's path: $CC, else the first of cc, gcc, clang."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and (path := shutil.which(name)):
            return path
    return None


def build() -> Path:
    """Path of the compiled shim. Compiles on first use; side effect: a file in the cache folder."""
    source = files("nfd_gym.games.luanti").joinpath("shim.c").read_bytes()
    name = f"shim-{platform.machine()}-{hashlib.sha256(source).hexdigest()[:12]}.so"
    target = cache_folder() / name
    if target.exists():
        return target
    path = compiler()
    if path is None:
        raise FileNotFoundError("no C compiler found; type: apt-get install -y gcc libc6-dev")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        code, library = Path(folder) / "shim.c", Path(folder) / name
        code.write_bytes(source)
        done = subprocess.run(
            [path, "-O3", "-shared", "-fPIC", "-o", str(library), str(code), "-ldl"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{path} could not compile the Luanti shim: {done.stderr[-400:]}")
        os.replace(library, target)  # another process may have been quicker: the same bytes
    return target
