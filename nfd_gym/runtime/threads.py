"""Process settings that make inference calm: called by entry points, never at import."""

import ctypes
import os
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # mallopt parameters of glibc's malloc.h


def settle(threads: int | None = None) -> None:
    """Make waiting threads sleep and freed memory stay mapped; `threads` also caps torch's pool.

    Spinning OpenMP threads turn a 15 ms step into 245 ms when another process shares the cores.
    OpenMP reads its policy when it is loaded: that half works only before torch is imported.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_memory_mapped()
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def keep_memory_mapped() -> bool:
    """Stop glibc from returning large tensors to the kernel; False where malloc is not glibc's.

    By default a tensor over 128 KiB is a fresh mmap whose pages fault one by one: elementwise work
    on the CPU becomes about five times slower.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl
        return False
    settings = ((MMAP_MAX, 0), (TRIM_THRESHOLD, 2**30), (TOP_PAD, 2**26))
    return all([bool(mallopt(name, value)) for name, value in settings])
