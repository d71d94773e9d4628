"""Sources whose clips come out of their files in one piece: npz, Minari, MineRL."""

from pathlib import Path

from nfd_gym.actions import ActionCodec
from nfd_gym.data.clip import Clip
from nfd_gym.data.lru import LRU

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
        self._kept: LRU[Clip] = LRU(KEPT)

    def load(self, index: int) -> Clip:
        """Clip number `index`, whole and aligned."""
        raise NotImplementedError

    def read(self, index: int, start: int = 0, stop: int | None = None) -> Clip:
        clip = self._kept.get(index, lambda: self.load(index))
        return clip.cut(start, len(clip) if stop is None else stop)
