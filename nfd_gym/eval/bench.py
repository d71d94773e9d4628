"""`nfd-gym bench env|speculate|rivals|data|games`: each subject has its own module."""

import argparse
import importlib
import sys

# subcommand -> (module with add_arguments and main, one line of help)
SUBJECTS = {
    "env": ("nfd_gym.eval.bench_env", "frames per second of env.step: envs, steps, engines"),
    "speculate": ("nfd_gym.eval.bench_speculate", "hits, discards, latency, quality of guessing"),
    "rivals": ("nfd_gym.eval.bench_rivals", "worlds of one game: quality, speed, obedience"),
    "data": ("nfd_gym.data.bench", "how fast recordings are read"),
    "games": ("nfd_gym.games.bench", "how fast the real game runs"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    subjects = parser.add_subparsers(dest="subject", metavar="SUBJECT", required=True)
    chosen = next((word for word in sys.argv[1:] if word in SUBJECTS), None)
    for name, (module, text) in SUBJECTS.items():
        subject = subjects.add_parser(name, help=text, description=text)
        if chosen is None or name == chosen:
            importlib.import_module(module).add_arguments(subject)


def main(args: argparse.Namespace) -> int:
    module, _ = SUBJECTS[args.subject]
    return int(importlib.import_module(module).main(args))
