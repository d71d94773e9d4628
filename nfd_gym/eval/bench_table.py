"""What the benchmarks share: where their figures go, a Markdown table, percentiles."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nfd_gym.eval import results


def add_output(parser: argparse.ArgumentParser) -> None:
    """The options of every benchmark for where its figures go."""
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    results.add_arguments(parser)


def report(
    name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], args: argparse.Namespace
) -> None:
    """Print a Markdown table and the machine; write and record it where that was asked for."""
    figures: dict[str, Any] = {"table": {"columns": list(columns), "rows": [list(r) for r in rows]}}
    print(table(columns, rows))
    print(f"\n{results.machine()}, commit {results.commit()}")
    command = "python -m nfd_gym " + " ".join(sys.argv[1:])
    if args.json:
        draft = args.json.with_name(args.json.name + ".tmp")
        described = {"figures": figures, "command": command, "machine": results.machine()}
        draft.write_text(json.dumps(described, indent=1) + "\n", "utf-8")
        os.replace(draft, args.json)
    results.keep(args, f"bench.{name}", figures, command)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(results.show(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def percentiles(milliseconds: ArrayLike) -> Mapping[str, float]:
    """p50 and p99, and nothing where nothing was measured."""
    values = np.asarray(milliseconds, np.float64)
    if not values.size:
        return {"p50": float("nan"), "p99": float("nan")}
    return {"p50": float(np.percentile(values, 50)), "p99": float(np.percentile(values, 99))}
