"""The command line `python -m nfd_gym COMMAND ...`: a dispatcher, nothing more."""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

# command -> (module with add_arguments(parser) and main(args) -> exit code, one line of help)
COMMANDS = {
    "record": ("nfd_gym.data.cli_record", "record a Gymnasium environment into a folder of clips"),
    "import": (
        "nfd_gym.data.cli_import",
        "bring recordings (VPT npz Minari LeRobot) into a store",
    ),
    "check": ("nfd_gym.data.cli_check", "validate recordings and print their statistics"),
    "bench": ("nfd_gym.eval.bench", "measure speed"),
    "replay": ("nfd_gym.runtime.replay", "replay a recorded session and compare it"),
    "info": ("nfd_gym.data.cli_info", "say what a world, a recording or this machine is"),
}
# environment id -> module whose main(args) records by the hour with the game's own players
RECORDERS = {"Luanti-v0": "nfd_gym.games.luanti.recorder"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m nfd_gym",
        description="A learned world you can gym.make. To play: python -m nfd_gym.play",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in arguments if word in COMMANDS), None)
    modules: dict[str, ModuleType] = {}
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name == chosen:  # only the command that runs is imported: `check` must not load torch
            modules[name] = importlib.import_module(module)
            modules[name].add_arguments(command)
            command.set_defaults(recorders={env: _main_of(path) for env, path in RECORDERS.items()})
    args = parser.parse_args(arguments)
    try:
        return int(modules[args.command].main(args))
    except KeyboardInterrupt:
        print("interrupted; the same command continues where it stopped", file=sys.stderr)
        return 130
    except Exception as error:
        # Our own errors are one sentence that names the fix; anything else is a bug with its trace.
        if not type(error).__module__.startswith("nfd_gym"):
            raise
        print(f"{parser.prog} {args.command}: {error}", file=sys.stderr)
        return 2


def _main_of(module: str) -> Callable[[argparse.Namespace], int]:
    """main(args) of a module that is imported when it is called."""
    return lambda args: int(importlib.import_module(module).main(args))


if __name__ == "__main__":
    sys.exit(main())
