"""`python -m nfd_gym info [PATH]`: what a world, a recording or this machine is."""

import argparse
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

import nfd_gym
from nfd_gym.data.check import check_source, folder_of
from nfd_gym.data.clip import DataError
from nfd_gym.data.sources import detect, open_source
from nfd_gym.data.sources.vpt import VPTSource
from nfd_gym.data.statistics import describe

PACKAGES = (
    "torch", "numpy", "gymnasium", "av", "einops", "safetensors", "pygame", "stable-baselines3",
    "openvino", "onnxruntime", "pyarrow", "h5py", "aiohttp", "gym-pusht",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", nargs="?", help="a world or a folder of recordings; none: machine")
    parser.add_argument("--played", action="store_true", help="a recording: what was played")
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    if args.path is None:
        facts = machine()
    else:
        path = folder_of(args.path)
        card = (path / "world.json").exists()
        facts = world(path) if card else recording(path, played=args.played)
    if args.json:
        print(json.dumps(facts, indent=2))
        return 0
    for name, value in facts.items():
        for line in value if name == "played" else [value]:
            print(f"{name}: {line}")
    return 0


def machine() -> dict[str, Any]:
    """What decides speed and what is installed; the block that belongs to every measurement."""
    facts: dict[str, Any] = {
        "nfd_gym": nfd_gym.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
    }
    for package in PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            facts[package] = "not installed"
    return facts


def cpu_name() -> str:
    """The processor's name where Linux tells it."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def world(path: Path) -> dict[str, Any]:
    """What world.json says; the weights are not loaded."""
    try:
        card: dict[str, Any] = json.loads((path / "world.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path / 'world.json'}: cannot be read ({error}); copy it again."
        ) from error
    sizes = {file.name: file.stat().st_size for file in sorted(path.glob("*.safetensors"))}
    return {"world": str(path), **card, **{name: f"{n / 1e6:.1f} MB" for name, n in sizes.items()}}


def recording(path: Path, played: bool = False) -> dict[str, Any]:
    """What a folder of recordings holds; with `played` its actions and events are read too."""
    source = open_source(path)
    frames = sum(source.lengths)
    depth = isinstance(source, VPTSource) and source.index.depth
    report = check_source(source, decode=False) if played else None
    return {
        "recording": str(path),
        "kind": detect(path),
        "clips": len(source.names),
        "frames": frames,
        "hours": round(frames / source.fps / 3600, 3),
        "size": f"{source.size[1]}x{source.size[0]}",
        "fps": source.fps,
        "actions": source.codec.to_json(),
        "action width": source.codec.width,
        "depth": depth,
        **({} if report is None else {"played": list(describe(source.codec, report))}),
    }
