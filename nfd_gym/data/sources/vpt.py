"""VPT layout, NAME.mp4 + NAME.jsonl; the project's own store is the same with an index."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nfd_gym.actions import ActionCodec, Camera, KeysAndMouse, codec_from_json
from nfd_gym.data.clip import Clip, DataError, shift
from nfd_gym.data.index import read_index
from nfd_gym.data.rows import Rows, parse_action_rows, parse_vpt_rows
from nfd_gym.data.video import VideoIndex, VideoReader, index_video


class VPTSource:
    """Clips of a folder of mp4 + jsonl pairs. Safe to read from several threads."""

    codec: ActionCodec

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.index = read_index(self.path)
        # Minecraft is filmed at 70 degrees, Luanti at 72; only Luanti's recorder writes an index.
        luanti = self.index.about is not None
        self.codec = KeysAndMouse(camera=Camera(72.0, crosshair=5) if luanti else Camera(70.0))
        if self.index.codec:
            self.codec = codec_from_json(self.index.codec)
        self.names = list(self.index.clips)
        self._videos: dict[str, VideoIndex] = {}
        self._rows: dict[str, Rows] = {}
        self._readers = threading.local()
        if not self.names:
            raise DataError(f"{self.path}: no NAME.mp4 with a NAME.jsonl beside it in this folder.")
        self.lengths = [self.index.clips[name] or self._length(name) for name in self.names]
        first = self.video(self.names[0])
        self.size = (first.height, first.width)
        self.fps = self.index.fps or first.fps

    def read(self, index: int, start: int = 0, stop: int | None = None) -> Clip:
        name, length = self.names[index], self.lengths[index]
        stop = length if stop is None else stop
        video, rows = self.video(name), self.rows(name)
        if min(len(video), len(rows)) < length:
            raise DataError(
                f"{self.path / name}.mp4: {len(video)} frames and {len(rows)} rows, but index.json "
                f"says {length} frames; run `python -m nfd_gym check {self.path}`."
            )
        frames = self._reader().read(self.file(name, ".mp4"), video, start, stop)
        events = tuple(
            replace(event, frame=event.frame + 1 - start)
            for event in rows.events
            if start <= event.frame + 1 < stop
        )
        return Clip(
            frames=frames,
            actions=self._aligned(name)[start:stop],
            rewards=None if rows.rewards is None else shift(rows.rewards, np.zeros(()))[start:stop],
            events=events,
            pitch=None if rows.pitch is None else rows.pitch[start:stop],
            name=name,
            fps=self.fps,
            state={key: values[start:stop] for key, values in rows.state.items()},
        )

    def close(self) -> None:
        """Close the files that this thread has open; reading opens them again."""
        reader = getattr(self._readers, "reader", None)
        if reader is not None:
            reader.close()

    def file(self, name: str, suffix: str) -> Path:
        return self.path / f"{name}{suffix}"

    def video(self, name: str) -> VideoIndex:
        """Where the frames of one clip are; read once."""
        if name not in self._videos:
            self._videos[name] = index_video(self.file(name, ".mp4"))
        return self._videos[name]

    def rows(self, name: str) -> Rows:
        """The parsed rows of one clip; read once and kept as arrays."""
        if name not in self._rows:
            path = self.file(name, ".jsonl")
            if isinstance(self.codec, KeysAndMouse):
                self._rows[name] = parse_vpt_rows(path, stuck_attack=not self.index.ours)
            else:
                self._rows[name] = parse_action_rows(path, self.codec.width)
        return self._rows[name]

    def _aligned(self, name: str) -> Any:
        rows = self.rows(name)
        return shift(rows.chosen, self.codec.encode(self.codec.noop()))

    def _length(self, name: str) -> int:
        return min(len(self.video(name)), len(self.rows(name)))

    def _reader(self) -> VideoReader:
        if not hasattr(self._readers, "reader"):
            self._readers.reader = VideoReader()
        reader: VideoReader = self._readers.reader
        return reader
