"""The command line: `nfd-gym COMMAND ...`, the same as `python -m nfd_gym COMMAND ...`."""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import nfd_gym
from nfd_gym.command import parse_and_run
from nfd_gym.games import RECORDED, RECORDERS
from nfd_gym.settings import nearest


class Command(NamedTuple):
    """Where a command is, and what `--help` says about it."""

    module: str  # has add_arguments(parser) and main(args) -> exit code; imported when it runs
    text: str
    example: str
    resumes: bool = False  # interrupted, the same command continues where it stopped


COMMANDS = {
    "play": Command(
        "nfd_gym.play.cli",
        "play a world in a window, in a browser or into a film",
        "nfd-gym play\nnfd-gym play --web\nnfd-gym play --headless --frames 200 --out play.gif",
    ),
    "record": Command(
        "nfd_gym.data.cli_record",
        "record a Gymnasium environment into a folder of clips",
        "nfd-gym record --env CarRacing-v3 --policy random --frames 5000 --out data/car",
        resumes=True,
    ),
    "import": Command(
        "nfd_gym.data.cli_import",
        "bring recordings (VPT, MineRL, npz, Minari, LeRobot) into a store",
        "nfd-gym import ~/vpt --out data/vpt --preset small",
        resumes=True,
    ),
    "check": Command(
        "nfd_gym.data.cli_check",
        "validate recordings and print what was played in them",
        "nfd-gym check ~/vpt",
    ),
    "train": Command(
        "nfd_gym.train.cli",
        "train a world on recordings, stage by stage, as a recipe says",
        "nfd-gym train --recipe island --data data/island --out runs/island\n"
        "nfd-gym train --recipe island --data data/island --out runs/island --stage denoiser",
        resumes=True,
    ),
    "eval": Command(
        "nfd_gym.eval.report",
        "measure whether a world stays: free runs and probes beside the game",
        "nfd-gym eval --data data/val --probes data/probes",
    ),
    "bench": Command(
        "nfd_gym.eval.bench",
        "measure speed on this machine",
        "nfd-gym bench env --num-envs 1 8",
    ),
    "replay": Command(
        "nfd_gym.runtime.replay",
        "replay a recorded session and compare every frame with the log",
        "nfd-gym replay plays/play-20260101-120000-000.ndjson",
    ),
    "info": Command(
        "nfd_gym.data.cli_info",
        "say what a world, a folder of recordings or this machine is",
        "nfd-gym info\nnfd-gym info data/vpt",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Only the command that runs is imported."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in COMMANDS:
        return run(words[0], words[1:], f"{program()} {words[0]}")
    parser = make_parser()
    if words and not words[0].startswith("-"):
        parser.error(f"no command {words[0]!r}; did you mean {nearest(words[0], COMMANDS)!r}?")
    parser.parse_args(words)
    parser.print_help()
    return 2


def run(name: str, words: Sequence[str], prog: str) -> int:
    """Run the command `name` with the words that follow it. Side effect: settles the process, and
    modules of the current folder can be imported."""
    if "" not in sys.path:  # so that MODULE:NAME finds a module here, as it does with python -m
        sys.path.append("")
    nfd_gym.settle()  # before torch is imported, which reads some of it only once
    command = COMMANDS[name]
    module = importlib.import_module(command.module)
    parser = argparse.ArgumentParser(
        prog=prog,
        description=f"{command.text[0].upper()}{command.text[1:]}.",
        epilog="example:\n  " + command.example.replace("\n", "\n  "),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parser.set_defaults(
        recorders={env: _main_of(path) for env, path in RECORDERS.items()}, recorded=RECORDED
    )
    return parse_and_run(parser, module.main, words, command.resumes)


def _main_of(module: str) -> Callable[[argparse.Namespace], int]:
    """main(args) of a module that is imported when it is called."""
    return lambda args: int(importlib.import_module(module).main(args))


def make_parser() -> argparse.ArgumentParser:
    """The overview: what `nfd-gym --help` prints."""
    width = max(map(len, COMMANDS))
    table = "\n".join(f"  {name:<{width}}  {command.text}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=program(),
        usage=f"{program()} COMMAND ...",
        description="Learned worlds behind Gymnasium: play them, train in them, make your own.",
        epilog=f"commands:\n{table}\n\n{program()} COMMAND --help explains one of them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"nfd_gym {nfd_gym.__version__}")
    return parser


def program() -> str:
    """The command as it was typed: the installed script, or Python with -m."""
    return "python -m nfd_gym" if Path(sys.argv[0]).name == "__main__.py" else "nfd-gym"
