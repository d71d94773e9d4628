"""VPT layout, NAME.mp4 + NAME.jsonl; the project's own store is the same with an index."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nfd_gym.actions import ActionCodec, Camera, KeysAndMouse, codec_from_json
from nfd_gym.data.clip import Clip, DataError, Depth, shift
from nfd_gym.data.index import read_index
from nfd_gym.data.lru import LRU
from nfd_gym.data.rows import Rows, count_rows, parse_action_rows, parse_vpt_rows
from nfd_gym.data.video import VideoIndex, VideoReader, index_video, read_header
from nfd_gym.progress import Progress

ROWS_KEPT = 2_000_000  # frames whose rows stay in memory: about 200 bytes each
INDICES_KEPT = 40_000_000  # frames whose time stamps stay in memory: 8 bytes each


class VPTSource:
    """Clips of a folder of mp4 + jsonl pairs. Safe to read from several threads.

    With open_files=0 no file stays open between two reads. Where no index lists the lengths, they
    are counted from the files' headers and line ends; nothing is decoded or parsed for it.
    """

    codec: ActionCodec

    def __init__(self, path: Path, *, open_files: int = 24) -> None:
        self.path, self.open_files = Path(path), open_files
        self.index = read_index(self.path)
        # Minecraft is filmed at 70 degrees, Luanti at 72; only Luanti's recorder writes an index.
        luanti = self.index.about is not None
        self.codec = KeysAndMouse(camera=Camera(72.0, crosshair=5) if luanti else Camera(70.0))
        if self.index.codec:
            self.codec = codec_from_json(self.index.codec)
        self.names = list(self.index.clips)
        self._videos: LRU[VideoIndex] = LRU(INDICES_KEPT, len)
        self._rows: LRU[Rows] = LRU(ROWS_KEPT, len)
        self._local = threading.local()
        self._readers: list[VideoReader] = []
        if not self.names:
            raise DataError(f"{self.path}: no NAME.mp4 with a NAME.jsonl beside it in this folder.")
        first = read_header(self.file(self.names[0], ".mp4"))
        self.size = (first.height, first.width)
        self.fps = self.index.fps or first.fps
        self.lengths = self._lengths()

    def read(self, index: int, start: int = 0, stop: int | None = None) -> Clip:
        name, length = self.names[index], self.lengths[index]
        stop = length if stop is None else stop
        video, rows = self.video(name), self.rows(name)
        if min(len(video), len(rows)) < length:
            told = "index.json" if self.index.clips[name] else "its header"
            raise DataError(
                f"{self.path / name}.mp4: {len(video)} frames and {len(rows)} rows, but {told} "
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
            depth=self._depth(name, start, stop),
            pose=None if rows.pose is None else rows.pose[start:stop],
        )

    def close(self) -> None:
        """Close every file that is open; a later read opens it again."""
        for reader in self._readers:
            reader.close()

    def file(self, name: str, suffix: str) -> Path:
        return self.path / f"{name}{suffix}"

    def video(self, name: str, suffix: str = ".mp4") -> VideoIndex:
        """Where the frames of one file are."""
        path = self.file(name, suffix)
        return self._videos.get(path, lambda: index_video(path))

    def rows(self, name: str) -> Rows:
        """The parsed rows of one clip as arrays."""
        return self._rows.get(name, lambda: self._parse(name))

    def _parse(self, name: str) -> Rows:
        path = self.file(name, ".jsonl")
        if isinstance(self.codec, KeysAndMouse):
            return parse_vpt_rows(path, stuck_attack=not self.index.ours)
        return parse_action_rows(path, self.codec.width)

    def _depth(self, name: str, start: int, stop: int) -> Depth | None:
        """Depth of frames start..stop-1, where the store keeps it."""
        if not self.index.depth:
            return None
        path, video = self.file(name, ".depth.mkv"), self.video(name, ".depth.mkv")
        if not video.depth or len(video) != len(self.video(name)):
            raise DataError(
                f"{path}: {len(video)} depth pictures for {len(self.video(name))} frames; record "
                "this clip again."
            )
        return self._reader().read(path, video, start, stop)

    def _aligned(self, name: str) -> Any:
        rows = self.rows(name)
        return shift(rows.chosen, self.codec.encode(self.codec.noop()))

    def _lengths(self) -> list[int]:
        """The shorter of video and rows, for clips whose length no index tells."""
        if all(self.index.clips.values()):
            return list(self.index.clips.values())
        lengths = []
        with Progress(len(self.names), "clips counted") as bar:
            for name, known in self.index.clips.items():
                lengths.append(known or self._count(name))
                bar.add(1)
        return lengths

    def _count(self, name: str) -> int:
        video = self.file(name, ".mp4")
        frames = read_header(video).frames or len(self.video(name))
        return min(frames, count_rows(self.file(name, ".jsonl")))

    def _reader(self) -> VideoReader:
        if not hasattr(self._local, "reader"):
            self._local.reader = VideoReader(self.open_files)
            self._readers.append(self._local.reader)
        reader: VideoReader = self._local.reader
        return reader
