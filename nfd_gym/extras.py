"""Optional packages: loaded when used, and a missing one is a sentence with the line to type."""

import importlib
from typing import Any


class MissingExtra(ImportError):
    """A package of an optional extra is not installed."""


def need(module: str, extra: str) -> Any:
    """The module, or an error that says what to type."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtra(
            f"{package} is not installed; type: pip install -c constraints.txt -e '.[{extra}]'"
        ) from error
