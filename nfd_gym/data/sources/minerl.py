"""MineRL-v0: one folder per episode with recording.mp4, rendered.npz and metadata.json."""

from pathlib import Path
from typing import Any

import numpy as np

from nfd_gym.actions import ActionError, KeysAndMouse
from nfd_gym.data.clip import Clip, DataError
from nfd_gym.data.sources.whole import WholeClips
from nfd_gym.data.video import VideoReader, index_video
from nfd_gym.dialects import vectors_from_columns
from nfd_gym.keyboard import KEY_INDEX

PREFIX = "action$"


class MineRLSource(WholeClips):
    """Episodes of a MineRL-v0 environment. Menu actions (craft, equip, place) are left out."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        root = self.path
        folders = [root] if (root / "rendered.npz").exists() else sorted(root.glob("*/"))
        self.folders = [folder for folder in folders if (folder / "rendered.npz").exists()]
        if not self.folders:
            raise DataError(f"{path}: no folder with recording.mp4 and rendered.npz.")
        self.names = [folder.name for folder in self.folders]
        self.codec = KeysAndMouse(camera=None)
        videos = [index_video(folder / "recording.mp4") for folder in self.folders]
        self.fps = videos[0].fps or 20.0
        self.size = (videos[0].height, videos[0].width)
        rows = [len(self._rows(folder)[1]) for folder in self.folders]
        # One more picture than actions; some recordings have a few pictures too many.
        self.lengths = [min(len(v), r + 1) for v, r in zip(videos, rows, strict=True)]

    def load(self, index: int) -> Clip:
        folder, length = self.folders[index], self.lengths[index]
        reader = VideoReader()
        path = folder / "recording.mp4"
        frames = reader.read(path, index_video(path), 0, length)
        reader.close()
        vectors, rewards = self._rows(folder)
        noop = np.zeros(self.codec.width, np.float32)
        rest: dict[str, Any] = {"name": self.names[index], "fps": self.fps}
        steps = length - 1
        return Clip.align(frames, vectors[:steps], noop, rewards=rewards[:steps], **rest)

    def _rows(self, folder: Path) -> tuple[np.ndarray, np.ndarray]:
        path = folder / "rendered.npz"
        try:
            with np.load(path, allow_pickle=False) as file:
                columns = {
                    name.removeprefix(PREFIX): file[name]
                    for name in file.files
                    if name.startswith(PREFIX)
                }
                rewards = file["reward"] if "reward" in file.files else None
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path}: cannot be read as npz ({error}); copy it again.") from error
        known = {name: v for name, v in columns.items() if name in KEY_INDEX or name == "camera"}
        if not known:
            raise DataError(f"{path}: no action$... columns, is this a MineRL recording?")
        rows = len(next(iter(known.values())))
        try:
            vectors = vectors_from_columns(known, rows)
        except (ActionError, ValueError) as error:
            raise DataError(f"{path}: {error}") from error
        zeros = np.zeros(rows, np.float32)
        return vectors, zeros if rewards is None else np.asarray(rewards, np.float32)[:rows]
