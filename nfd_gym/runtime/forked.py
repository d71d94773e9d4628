"""A process that was forked after torch had run in its parent: its OpenMP threads are gone, and the
next parallel operation would wait for them for ever."""

import os

from nfd_gym.errors import NfdError

_used_in: int | None = None  # the process that ran torch here


class ForkedError(NfdError, RuntimeError):
    """Torch is to run in a forked child of a process that used it."""


def about_to_run() -> None:
    """Call before torch runs: a forked child of a process that ran it gets one sentence."""
    global _used_in
    if _used_in is None:
        _used_in = os.getpid()
    if _used_in != os.getpid():
        raise ForkedError(
            "this process was forked from one in which a world had already run, and would hang; "
            "start workers with context='spawn', as in gym.make_vec(id, "
            "vectorization_mode='async', vector_kwargs={'context': 'spawn'})."
        )
