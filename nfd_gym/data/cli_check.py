"""`python -m nfd_gym check DIR`: validate recordings and print what was played."""

import argparse

from nfd_gym.data.check import check_source, describe_depth, folder_of
from nfd_gym.data.sources import open_source
from nfd_gym.data.statistics import describe
from nfd_gym.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", help="a folder of recordings (VPT, npz, Minari, LeRobot, MineRL)")
    parser.add_argument("--kind", help="vpt npz minari lerobot minerl; found by itself if left out")
    parser.add_argument(
        "--fast", action="store_true", help="count the pictures, do not decode them"
    )


def main(args: argparse.Namespace) -> int:
    """Exit code 0 when nothing is wrong, 1 when there are problems."""
    path = folder_of(args.path)
    source = open_source(path, args.kind)
    height, width = source.size
    print(f"{path}: {width}x{height} at {source.fps:g} fps, actions {source.codec.to_json()}")
    with Progress(sum(source.lengths), "frames") as bar:
        report = check_source(source, decode=not args.fast, progress=bar.add)
    for line in (*describe(source.codec, report), *describe_depth(report.agreement)):
        print(line)
    for note in report.notes:
        print(f"note: {note}")
    for problem in report.problems:
        print(f"PROBLEM: {problem}")
    if report.problems:
        print(f"{len(report.problems)} problems; rows count from 0, as frames do")
        return 1
    print("no problems" + ("" if args.fast else ", every frame decodes"))
    return 0
