"""The controller's end of the shim: shared picture, depth, camera, clock and the go/done pipes."""

import mmap
import os
import select
import struct
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from nfd_gym.errors import NfdError

MAGIC = 0x4E464447
PIXELS = 128  # byte where the picture begins; layout in shim.c
TICK_US = 50_000
SLICE_SECONDS = 1.0


class GameDied(NfdError, RuntimeError):
    """The game, its display or their supervisor ended or stopped answering; `reset` starts anew."""


class Gate:
    """Owns the shared memory and both pipes. `game_fds` belong to the game and are closed here
    after it has been started, so that either side notices the other's death as an end of file."""

    def __init__(
        self, max_width: int, max_height: int, *, depth: bool = False, patience_us: int = 0
    ) -> None:
        """`depth` reads the depth buffer with each picture; `patience_us` is how long a picture may
        wait for the meshes of changed blocks."""
        capacity = max_width * max_height * (5 if depth else 3)
        self._memory_fd = os.memfd_create("nfd_frames")  # nameless: cannot be left behind
        os.ftruncate(self._memory_fd, PIXELS + capacity)
        self._memory = mmap.mmap(self._memory_fd, PIXELS + capacity)
        struct.pack_into("<q8xQII", self._memory, 24, TICK_US, capacity, depth, patience_us)
        self._go_read, self._go = os.pipe()
        self._done, self._done_write = os.pipe()
        os.set_blocking(self._done, False)
        self.in_flight = False  # a frame was asked for and has not arrived

    @property
    def game_fds(self) -> tuple[int, int, int]:
        return self._memory_fd, self._go_read, self._done_write

    def release_game_fds(self) -> None:
        for fd in self.game_fds:
            os.close(fd)

    @property
    def attached(self) -> bool:
        return bool(struct.unpack_from("<I", self._memory, 0)[0] == MAGIC)

    @property
    def clock_us(self) -> int:
        return int(struct.unpack_from("<q", self._memory, 32)[0])

    @property
    def frame_index(self) -> int:
        return int(struct.unpack_from("<Q", self._memory, 16)[0])

    @property
    def meshes(self) -> int:
        """How often the game has asked for new meshes of map blocks."""
        return int(struct.unpack_from("<Q", self._memory, 56)[0])

    def shut(self) -> None:
        """From its next picture on the game stands still between frames."""
        struct.pack_into("<I", self._memory, 4, 1)
        self.in_flight = True

    def release(self, step_us: int = TICK_US) -> None:
        """Lets the game make one frame, `step_us` of game time later; `wait` collects it."""
        self.in_flight = True
        struct.pack_into("<q", self._memory, 24, step_us)
        try:
            os.write(self._go, b"\1")
        except BrokenPipeError as error:
            raise GameDied("the game has ended") from error

    def wait(self, timeout_s: float, others: dict[int, Callable[[], None]]) -> None:
        """Blocks until the frame is there; meanwhile serves the descriptors of `others`."""
        left = timeout_s
        poll = select.poll()
        for fd in (self._done, *others):
            poll.register(fd, select.POLLIN)
        while True:
            begin = time.monotonic()
            ready = [fd for fd, _ in poll.poll(1000 * min(left, SLICE_SECONDS))]
            for fd in ready:
                if fd != self._done:
                    others[fd]()
            if self._done in ready:
                if not os.read(self._done, 1):
                    raise GameDied("the game has ended")
                self.in_flight = False
                return
            # At most a slice: time in which this process itself stood still does not count.
            left -= min(time.monotonic() - begin, SLICE_SECONDS)
            if left <= 0:
                raise GameDied(f"the game made no frame within {timeout_s:.0f} s")

    def picture(self) -> npt.NDArray[np.uint8]:
        """A copy of the newest frame, (height, width, 3) RGB."""
        width, height = struct.unpack_from("<II", self._memory, 8)
        flat = np.frombuffer(self._memory, np.uint8, width * height * 3, PIXELS)
        return flat.reshape(height, width, 3).copy()

    def depth(self) -> npt.NDArray[np.uint16]:
        """A copy of the newest frame's inverse planar depth, (height, width), 16384 = 1/metre."""
        width, height = struct.unpack_from("<II", self._memory, 8)
        start = PIXELS + width * height * 3
        flat = np.frombuffer(self._memory, np.uint16, width * height, start)
        return flat.reshape(height, width).copy()

    def view(self) -> npt.NDArray[np.float64]:
        """The newest frame's matrix from the world to the camera, (4, 4) for row vectors, in the
        game's coordinates and tenths of a metre."""
        return np.frombuffer(self._memory, np.float32, 16, 64).reshape(4, 4).astype(np.float64)

    def close(self) -> None:
        os.close(self._go)
        os.close(self._done)
        self._memory.close()
