"""assets/results.json: published figures with the command, commit, machine and date of each.

docs/RESULTS.md is generated from it, and so is every block of README.md between
`<!-- results:NAME -->` and `<!-- /results -->`: no number there is typed by hand. Commands write
to a checkout only with --publish.
"""

import argparse
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from nfd_gym.errors import UsageError

RESULTS = Path("assets/results.json")
PAGE, README = Path("docs/RESULTS.md"), Path("README.md")
BLOCK = re.compile(r"(<!-- results:([\w.-]+) -->\n).*?(<!-- /results -->)", re.DOTALL)
INTRODUCTION = """# Results

Generated from `assets/results.json`; do not edit. Every table was written by the command below it,
run with `--publish` in a checkout, at that commit and on that machine.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """--publish, and --results for a file of one's own: what every measuring command offers."""
    parser.add_argument(
        "--publish", action="store_true", help=f"merge the figures into {RESULTS} and {PAGE}"
    )
    parser.add_argument("--results", type=Path, metavar="FILE", help="merge them into this file")


def keep(
    args: argparse.Namespace, section: str, figures: Mapping[str, Any], command: str
) -> dict[str, Any]:
    """Figures with their origin. Side effect: stored, but only where --publish or --results asks
    for it."""
    if args.results is not None:
        record(section, figures, command, args.results)
    if args.publish:
        return publish(section, figures, command)
    return stamped(figures, command)


def publish(
    section: str, figures: Mapping[str, Any], command: str, root: Path = Path()
) -> dict[str, Any]:
    """Side effect: one section of the checkout's results, its results page and its README anew."""
    if not (root / RESULTS).is_file():
        raise UsageError(f"--publish needs {RESULTS}; run it at the top of a checkout of nfd_gym.")
    stored = record(section, figures, command, root / RESULTS)
    results = load(root / RESULTS)
    _replace(root / PAGE, page(results))
    _replace(root / README, rewrite((root / README).read_text("utf-8"), results))
    return stored


def record(section: str, figures: Mapping[str, Any], command: str, path: Path) -> dict[str, Any]:
    """Replace one section of a results file; returns the stored section.

    A figure named "table" with "columns" and "rows" is what pages show; without one, they show
    every scalar.
    """
    if not re.fullmatch(r"[\w.-]+", section):
        raise UsageError(f"A section name has letters, digits, . _ and -, got {section!r}.")
    results = load(path)
    results[section] = stamped(figures, command)
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, json.dumps(results, indent=1, sort_keys=True, allow_nan=False) + "\n")
    stored: dict[str, Any] = results[section]
    return stored


def page(results: Mapping[str, Any]) -> str:
    """docs/RESULTS.md: every section as a table, in the order of their names."""
    parts = [f"## {name}\n\n{markdown(results[name])}" for name in sorted(results)]
    return "\n".join([INTRODUCTION, *parts])


def stamped(figures: Mapping[str, Any], command: str) -> dict[str, Any]:
    """Figures with the command, commit, machine and date that made them."""
    return {
        "figures": dict(figures),
        "command": portable(command),
        "commit": commit(),
        "machine": machine(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
    }


def portable(command: str) -> str:
    """A command as others can type it: folders of this machine by their last two names."""
    return re.sub(r"(?<![^\s:])/(?:[^\s/]+/)*([^\s/]+/[^\s/]+)", r"\1", command)


def load(path: Path) -> dict[str, Any]:
    """All sections; none if the file does not exist yet."""
    if not path.exists():
        return {}
    try:
        results = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise UsageError(
            f"{path} is not JSON ({error}); restore it with git before recording more figures."
        ) from error
    if not isinstance(results, dict):
        raise UsageError(f"{path} must hold one JSON object, got {type(results).__name__}.")
    return results


def rewrite(text: str, results: Mapping[str, Any]) -> str:
    """A page with every results block filled in; blocks of unknown sections stay as they are."""

    def fill(match: re.Match[str]) -> str:
        head, name, tail = match.groups()
        return f"{head}{markdown(results[name])}{tail}" if name in results else match.group(0)

    return BLOCK.sub(fill, text)


def markdown(section: Mapping[str, Any]) -> str:
    """One section as a table and a line that says where it came from."""
    figures = section["figures"]
    if "table" in figures:
        columns, rows = figures["table"]["columns"], figures["table"]["rows"]
    else:
        columns, rows = ["figure", "value"], list(scalars(figures).items())
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(show(cell) for cell in row) + " |" for row in rows]
    where = ", ".join(section[key] for key in ("machine", "date"))
    origin = f"`{section['command']}`, commit {section['commit']}, {where}"
    return "\n".join([*lines, "", origin, ""])


def scalars(figures: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested figures as {"a.b": value}; lists (curves) are left out."""
    out: dict[str, Any] = {}
    for key, value in figures.items():
        if isinstance(value, Mapping):
            out |= scalars(value, f"{prefix}{key}.")
        elif not isinstance(value, list):
            out[f"{prefix}{key}"] = value
    return out


def show(value: Any) -> str:
    """A cell: three significant digits are as many as these measurements carry."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value).replace("|", "\\|")
    digits = 0 if abs(value) >= 1000 else 1
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.{digits}f}"


def commit() -> str:
    """Short hash of the checked-out commit, with + if tracked files differ from it."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no", "--", "nfd_gym"],
            capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if dirty else "")


def machine() -> str:
    """Processor and cores, and the GPU if there is one."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = re.findall(r"^model name\s*: (.*)$", info.read_text(), re.MULTILINE)
        name = models[0].strip() if models else name
    text = f"{name}, {os.cpu_count()} cores"
    import torch  # here, so that recording figures without a model stays light

    return f"{text}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else text


def _replace(path: Path, text: str) -> None:
    """Write beside and rename: a full disk must not cost the figures already recorded."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("w", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
