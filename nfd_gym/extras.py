"""Optional packages: loaded when used, and a missing one is a sentence with the line to type."""

import importlib
import importlib.metadata
from pathlib import Path
from typing import Any

from nfd_gym.errors import NfdError

CHECKOUT = Path(__file__).parents[1]


class MissingExtra(NfdError, ImportError):
    """A package of an optional extra is not installed."""


def need(module: str, extra: str) -> Any:
    """The module, or an error that says what to type."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtra(f"{package} is not installed; type: {install_line(extra)}") from error


def install_line(extra: str, checkout: Path = CHECKOUT) -> str:
    """The command that installs an extra: at exact versions in a checkout, else package by package
    (a wheel may have come from anywhere, so its own name cannot be asked for again)."""
    if (checkout / "constraints.txt").is_file() and (checkout / "pyproject.toml").is_file():
        return f"pip install -c constraints.txt -e '.[{extra}]'"
    wanted = f'extra == "{extra}"'
    lines = [line.replace("'", '"') for line in importlib.metadata.requires("nfd_gym") or ()]
    packages = [line.partition(";")[0].strip() for line in lines if wanted in line]
    return "pip install " + " ".join(f"'{package}'" for package in packages)
