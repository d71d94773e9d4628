"""Sources whose clips come out of their files in one piece: npz, Minari, MineRL."""

import threading
from collections import OrderedDict
from pathlib import Path

from nfd_gym.actions import ActionCodec
from nfd_gym.data.clip import Clip

KEPT = 4  # whole clips in memory: enough for a loader's threads, little enough for hour-long ones


class WholeClips:
    """Reads any stretch of a clip by loading it whole; the last few stay in memory."""

    codec: ActionCodec
    fps: float
    size: tuple[int, int]
    names: list[str]
    lengths: list[int]

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._kept: OrderedDict[int, Clip] = OrderedDict()
        self._lock = threading.Lock()

    def load(self, index: int) -> Clip:
        """Clip number `index`, whole and aligned."""
        raise NotImplementedError

    def read(self, index: int, start: int = 0, stop: int | None = None) -> Clip:
        with self._lock:
            clip = self._kept.get(index)
            if clip is not None:
                self._kept.move_to_end(index)
        if clip is None:
            clip = self.load(index)
            with self._lock:
                self._kept[index] = clip
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return clip.cut(start, len(clip) if stop is None else stop)
