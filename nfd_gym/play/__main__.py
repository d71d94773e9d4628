"""`python -m nfd_gym.play`: the same as `nfd-gym play`."""

import argparse
import sys
from collections.abc import Sequence

import nfd_gym
from nfd_gym.command import parse_and_run
from nfd_gym.play import cli


def main(argv: Sequence[str] | None = None) -> int:
    """Play until the player has had enough; returns the exit code. Side effect: settles."""
    nfd_gym.settle()  # before torch is imported, which reads some of it only once
    parser = argparse.ArgumentParser(prog="python -m nfd_gym.play", description=cli.__doc__)
    cli.add_arguments(parser)
    return parse_and_run(parser, cli.main, sys.argv[1:] if argv is None else argv)


if __name__ == "__main__":
    sys.exit(main())
