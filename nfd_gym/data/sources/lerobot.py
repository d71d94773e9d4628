"""LeRobotDataset v3.0 (parquet + mp4), read without importing lerobot.

One file holds many episodes: an episode is a stretch of rows of a parquet file and a stretch of
time of an mp4. Row i is the state of frame i and the action chosen on it.
"""

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfd_gym.actions import ActionCodec, ActionError, Continuous
from nfd_gym.data.clip import Clip, DataError, Floats, shift
from nfd_gym.data.codecs import fitting
from nfd_gym.data.lru import LRU
from nfd_gym.data.video import VideoIndex, VideoReader, index_video
from nfd_gym.extras import need

ROWS_KEPT = 4_000_000  # rows of parquet files that stay in memory
INDICES_KEPT = 40_000_000  # frames whose time stamps stay in memory: 8 bytes each


@dataclass(frozen=True)
class Table:
    """The columns of one parquet file that are used."""

    episodes: NDArray[np.int64]  # (R,) which episode a row belongs to
    actions: NDArray[np.float64]  # (R, A)
    rewards: Floats | None  # (R,)

    def __len__(self) -> int:
        return len(self.episodes)


class LeRobotSource:
    """Episodes of one dataset folder, seen through one camera (the first by name)."""

    codec: ActionCodec

    def __init__(
        self, path: Path, camera: str | None = None, codec: ActionCodec | None = None
    ) -> None:
        self.path = Path(path)
        info = self._json("meta/info.json")
        version = str(info.get("codebase_version"))
        if not version.startswith("v3."):
            raise DataError(
                f"{self.path}: LeRobot layout {version}; convert it to v3.0 with "
                "lerobot's own converter first."
            )
        try:
            self.features: dict[str, Any] = info["features"]
            self.fps = float(info["fps"])
            self.data_path, self.video_path = str(info["data_path"]), str(info.get("video_path"))
            width = int(np.prod(self.features["action"]["shape"]))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{self.path}/meta/info.json: the key {error} is missing.") from error
        cameras = sorted(key for key, value in self.features.items() if value["dtype"] == "video")
        if not cameras or (camera and camera not in cameras):
            raise DataError(f"{self.path}: no camera {camera or ''} among the videos {cameras}.")
        self.camera = camera or cameras[0]
        self.episodes = self._episodes()
        self.names = [f"episode_{int(row['episode_index']):06d}" for row in self.episodes]
        self.lengths = [int(row["length"]) for row in self.episodes]
        self._tables: LRU[Table] = LRU(ROWS_KEPT, len)
        self._videos: LRU[VideoIndex] = LRU(INDICES_KEPT, len)
        self._readers = threading.local()
        self.codec = fitting(self._codec(width), codec)
        first = self._video(self._video_file(0))
        self.size = (first.height, first.width)

    def read(self, index: int, start: int = 0, stop: int | None = None) -> Clip:
        row, length = self.episodes[index], self.lengths[index]
        stop = length if stop is None else stop
        path = self._video_file(index)
        video = self._video(path)
        offset = round(float(row[f"videos/{self.camera}/from_timestamp"]) * self.fps)
        if offset + length > len(video):
            raise DataError(
                f"{path}: {len(video)} frames, but {self.names[index]} needs "
                f"{offset}..{offset + length - 1}; download the file again."
            )
        if not 0 <= start <= stop <= length:
            raise DataError(f"{self.names[index]}: frames {start}..{stop} asked for of {length}.")
        if not hasattr(self._readers, "reader"):
            self._readers.reader = VideoReader()
        frames = self._readers.reader.read(path, video, offset + start, offset + stop)
        chosen, rewards = self._rows(index)
        noop = self.codec.encode(self.codec.noop())
        return Clip(
            frames,
            shift(chosen, noop)[start:stop],
            rewards=None if rewards is None else shift(rewards, np.zeros(()))[start:stop],
            name=self.names[index],
            fps=self.fps,
        )

    def _rows(self, index: int) -> tuple[Floats, Floats | None]:
        """Action vectors and rewards of one episode."""
        row = self.episodes[index]
        path = self._file(self.data_path, row["data/chunk_index"], row["data/file_index"])
        episode = int(row["episode_index"])
        table = self._tables.get(path, lambda: self._table(path))
        keep = np.flatnonzero(table.episodes == episode)
        if len(keep) != self.lengths[index]:
            raise DataError(
                f"{path}: {len(keep)} rows of episode {episode}, meta/episodes says "
                f"{self.lengths[index]}; download the file again."
            )
        actions = table.actions[keep]
        bad = np.flatnonzero(~np.isfinite(actions).all(axis=1))
        if len(bad):
            raise DataError(f"{path}:{keep[bad[0]]}: the action is not a finite number.")
        try:
            chosen = np.stack([self.codec.encode(action) for action in actions])
        except ActionError as error:
            raise DataError(f"{path}: {error}") from error
        return chosen, None if table.rewards is None else table.rewards[keep]

    def _table(self, path: Path) -> Table:
        """All rows of one parquet file, which holds many episodes; read once while it is kept."""
        names = ["action", *(["next.reward"] if "next.reward" in self.features else [])]
        table = _parquet(path, columns=[*names, "episode_index"])
        try:
            actions = np.array(table["action"], np.float64).reshape(len(table["action"]), -1)
            episodes = np.array(table["episode_index"], np.int64)
            rewards = None
            if len(names) == 2:
                rewards = np.asarray(table["next.reward"], np.float32).reshape(len(actions))
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{path}: actions or rewards are no equal rows of numbers ({error}); download the "
                "file again."
            ) from error
        return Table(episodes, actions, rewards)

    def _codec(self, width: int) -> Continuous:
        """The range of the actions, from meta/stats.json."""
        stats = self._json("meta/stats.json").get("action", {})
        try:
            low = np.asarray(stats["min"], np.float64).reshape(width)
            high = np.asarray(stats["max"], np.float64).reshape(width)
        except (KeyError, ValueError) as error:
            raise DataError(
                f"{self.path}/meta/stats.json: no min and max of {width} actions ({error})."
            ) from error
        return Continuous(width, low.tolist(), np.where(high > low, high, low + 1).tolist())

    def _episodes(self) -> list[dict[str, Any]]:
        video = f"videos/{self.camera}"
        wanted = [
            "episode_index", "length", "data/chunk_index", "data/file_index",
            f"{video}/chunk_index", f"{video}/file_index", f"{video}/from_timestamp",
        ]  # fmt: skip
        rows: list[dict[str, Any]] = []
        for path in sorted((self.path / "meta" / "episodes").glob("*/*.parquet")):
            table = _parquet(path, columns=wanted)
            count = len(table["episode_index"])
            rows += [{name: table[name][row] for name in wanted} for row in range(count)]
        if not rows:
            raise DataError(f"{self.path}/meta/episodes: no episodes; download the dataset again.")
        return sorted(rows, key=lambda row: int(row["episode_index"]))

    def _video_file(self, index: int) -> Path:
        row = self.episodes[index]
        chunk, file = (row[f"videos/{self.camera}/{part}_index"] for part in ("chunk", "file"))
        return self._file(self.video_path, chunk, file)

    def _file(self, pattern: str, chunk: int, file: int) -> Path:
        try:
            name = pattern.format(chunk_index=chunk, file_index=file, video_key=self.camera)
        except (KeyError, ValueError, IndexError) as error:
            raise DataError(
                f"{self.path}/meta/info.json: bad path {pattern!r} ({error})."
            ) from error
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise DataError(f"{self.path}: {name!r} points outside the dataset; refused.")
        return self.path / name

    def _video(self, path: Path) -> VideoIndex:
        return self._videos.get(path, lambda: index_video(path))

    def _json(self, name: str) -> dict[str, Any]:
        try:
            data: dict[str, Any] = json.loads((self.path / name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path / name}: cannot be read ({error}).") from error
        return data


def _parquet(path: Path, columns: list[str]) -> dict[str, list[Any]]:
    parquet, pyarrow = need("pyarrow.parquet", "data"), need("pyarrow", "data")
    try:
        table: dict[str, list[Any]] = parquet.read_table(path, columns=columns).to_pydict()
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: cannot be read ({error}); download it again.") from error
    missing = [name for name in columns if name not in table]
    if missing:
        raise DataError(f"{path}: the columns {missing} are missing.")
    return table
