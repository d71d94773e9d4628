"""Running one command: parse the words, do the work, print our own errors as one line."""

import argparse
import sys
from collections.abc import Callable, Sequence

from nfd_gym.errors import NfdError

FAILED, INTERRUPTED = 2, 130


def parse_and_run(
    parser: argparse.ArgumentParser,
    main: Callable[[argparse.Namespace], int],
    words: Sequence[str],
    resumes: bool = False,
) -> int:
    """Parse `words` and run `main`; the exit code. An unknown option exits with code 2."""
    args = parser.parse_args(list(words))
    return guarded(parser.prog, lambda: main(args), resumes)


def guarded(prog: str, work: Callable[[], int | None], resumes: bool = False) -> int:
    """The exit code of `work`: 2 after an `NfdError`, which is printed as one line on stderr.

    Any other exception is a bug and keeps its traceback.
    """
    try:
        return int(work() or 0)
    except KeyboardInterrupt:
        hint = "; the same command continues where it stopped" if resumes else ""
        print(f"{prog}: interrupted{hint}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if not is_ours(error):
            raise
        print(f"{prog}: {one_line(error)}", file=sys.stderr)
        return FAILED


def is_ours(error: BaseException) -> bool:
    """Whether the message is meant for the user: ours, or Gymnasium's about an id or a package."""
    return isinstance(error, NfdError) or type(error).__module__ == "gymnasium.error"


def one_line(error: BaseException) -> str:
    """The message on one line."""
    return " ".join(str(error).split())
