"""An exclusive lock on an open file: POSIX flock, or Windows' byte lock."""

from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # POSIX
    msvcrt = None  # type: ignore[assignment]


def try_lock(file: IO[Any]) -> bool:
    """Whether this process now holds the lock on `file`; it ends when the file is closed.

    Where the system has neither kind of lock the answer is always yes.
    """
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt is not None:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True
