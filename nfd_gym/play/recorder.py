"""Recording while playing: clips to train on (mp4 + VPT rows) and a log to replay (NDJSON).

Both grow with every frame and are finished on every way out: quit, signal or crash. A cut (new
place, load, undo, TAB) begins a new clip, for a clip is an unbroken film; the log holds the cuts
too. The real game has no log, it cannot be replayed.
"""

from pathlib import Path
from typing import Any, TextIO

import numpy as np

from nfd_gym.data.clip import DataError, Event
from nfd_gym.data.store import ClipFile, ClipWriter
from nfd_gym.filelock import try_lock
from nfd_gym.play.stage import CannotError, Stage, View

SEGMENT = 6000  # frames: five minutes, as VPT; the most that pulling the plug can cost
KEPT = ("yaw", "on_ground", "light")  # numbers of `info` that the rows keep beside the pitch


class Recorder:
    """A running recording of one stage into `folder`."""

    def __init__(self, folder: Path, stage: Stage, view: View, name: str) -> None:
        self.folder = folder
        self.name = name
        self.frames = 0
        self.clips = 0
        self._lock = _lock(folder)
        try:
            self.writer = ClipWriter(folder, stage.codec, fps=stage.rate, size=view.frame.shape[:2])
        except DataError as error:
            self._lock.close()
            raise CannotError(str(error)) from None
        self._clip: ClipFile | None = None
        self._stage = stage
        self._logged: Any = None  # the env that writes the log at the moment
        self.cut(stage, view)

    def add(self, vector: np.ndarray, view: View) -> None:
        """One frame and the action vector that produced it."""
        assert self._clip is not None
        if self._clip.frames >= SEGMENT:
            self.cut(self._stage, view)
            return
        self._add(vector, view)

    def cut(self, stage: Stage, view: View) -> None:
        """End the clip and begin the next one with `view`, which no recorded action produced."""
        self._end()
        if self._logged is not None and self._logged is not stage.raw:
            self._stage.log_to(None)
        self._stage = stage
        while f"{self.name}-{self.clips:03d}" in self.writer:
            self.clips += 1
        name = f"{self.name}-{self.clips:03d}"
        about = {"world": stage.title, "side": stage.side, "seed": stage.seed}
        self._clip = self.writer.clip(name, about).__enter__()
        if self._logged is not stage.raw and stage.log_to(self.folder / f"{name}.ndjson"):
            self._logged = stage.raw
        self._add(np.zeros(stage.codec.width, np.float32), view)

    def close(self) -> None:
        """Finish the files; after this they are complete on disk."""
        try:
            self._end()
            self._stage.log_to(None)
        finally:
            self._lock.close()

    def _add(self, vector: np.ndarray, view: View) -> None:
        assert self._clip is not None
        info = view.info
        self._clip.add(
            view.frame,
            vector,
            reward=view.reward,
            pitch=float(info["eye"][4]) if "eye" in info else info.get("pitch"),
            events=[Event.from_info(self._clip.frames, event) for event in info.get("events", ())],
            state={key: info[key] for key in KEPT if key in info},
        )
        self.frames += 1

    def _end(self) -> None:
        clip, self._clip = self._clip, None
        if clip is not None:
            clip.__exit__(None, None, None)


def _lock(folder: Path) -> TextIO:
    """One recording at a time in a folder: a second writer would tidy up the files of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / ".lock").open("w", encoding="utf-8")
    if not try_lock(file):
        file.close()
        raise CannotError(f"another game records into {folder}; use another --folder") from None
    return file
