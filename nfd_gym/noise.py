"""Noise as a function of its address: the only source of randomness in sampling."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nfd_gym.errors import UsageError

LARGEST = 2**64


def noise(seed: int, lane: int, frame: int, draw: int, shape: Sequence[int]) -> NDArray[np.float32]:
    """Standard normal float32 noise that depends on (seed, lane, frame, draw) and on nothing else.

    Philox is counter-based: a frame's noise needs no generator state, so rollback, batching and
    restarts see the same values. The address is in the high counter words; the stream itself
    counts in the low ones and can never run into its neighbour.
    """
    for name, value in (("seed", seed), ("lane", lane), ("frame", frame), ("draw", draw)):
        if not 0 <= value < LARGEST:
            raise UsageError(
                f"noise {name} must be a whole number from 0 to 2**64 - 1, got {value}."
            )
    # Explicit uint64: numpy would turn a list holding values over 2**63 into floats.
    key = np.array([seed, lane], dtype=np.uint64)
    counter = np.array([0, 0, draw, frame], dtype=np.uint64)
    generator = np.random.Generator(np.random.Philox(key=key, counter=counter))
    return generator.standard_normal(tuple(shape), dtype=np.float32)
