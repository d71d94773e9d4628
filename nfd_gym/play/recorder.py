"""Recording while playing: clips to train on (mp4 + VPT rows) and a log to replay (NDJSON).

Both grow with every frame and are finished on every way out: quit, signal or crash. A cut (new
place, load, undo, TAB) begins a new clip and a new log, for a clip is an unbroken film.
"""

import fcntl
import hashlib
import json
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from nfd_gym.data.clip import DataError, Event
from nfd_gym.data.files import PART, commit
from nfd_gym.data.store import ClipFile, ClipWriter
from nfd_gym.play.stage import CannotError, Stage, View

FPS = 20
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
            self.writer = ClipWriter(folder, stage.codec, fps=FPS, size=view.frame.shape[:2])
        except DataError as error:
            self._lock.close()
            raise CannotError(str(error)) from None
        self._clip: ClipFile | None = None
        self._log: ActionLog | None = None
        self._stage = stage
        self.cut(stage, view)

    def add(self, vector: np.ndarray, view: View) -> None:
        """One frame and the action vector that produced it."""
        assert self._clip is not None
        if self._clip.frames >= SEGMENT:
            self.cut(self._stage, view)
            return
        self._add(vector, view)
        if self._log is not None:
            self._log.add(vector, view.frame)

    def cut(self, stage: Stage, view: View) -> None:
        """End the clip and begin the next one with `view`, which no recorded action produced."""
        self._end()
        self._stage = stage
        while f"{self.name}-{self.clips:03d}" in self.writer:
            self.clips += 1
        name = f"{self.name}-{self.clips:03d}"
        about = {"world": stage.title, "side": stage.side, "seed": stage.seed}
        self._clip = self.writer.clip(name, about).__enter__()
        self._log = open_log(self.folder / f"{name}.ndjson", stage, view.frame)
        self._add(np.zeros(stage.codec.width, np.float32), view)

    def close(self) -> None:
        """Finish the files; after this they are complete on disk."""
        try:
            self._end()
        finally:
            self._lock.close()

    def _add(self, vector: np.ndarray, view: View) -> None:
        assert self._clip is not None
        info = view.info
        self._clip.add(
            view.frame,
            vector,
            reward=view.reward,
            pitch=info.get("pitch"),
            events=[_event(event, self._clip.frames) for event in info.get("events", ())],
            state={key: info[key] for key in KEPT if key in info},
        )
        self.frames += 1

    def _end(self) -> None:
        clip, self._clip = self._clip, None
        log, self._log = self._log, None
        try:
            if clip is not None:
                clip.__exit__(None, None, None)
        finally:
            if log is not None:
                log.close()


class ActionLog:
    """NDJSON: a header with the start state, then one line per frame."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self.part = path.with_name(f".{path.name}{PART}")
        self.file: TextIO = self.part.open("w", encoding="utf-8")
        self.frames = 0
        self._write(header)

    def add(self, vector: np.ndarray, frame: np.ndarray) -> None:
        self.frames += 1
        action = [float(str(value)) for value in vector]  # the shortest text of each float32
        self._write({"frame": self.frames, "action": action, "digest": digest(frame)})

    def close(self) -> None:
        self.file.close()
        commit(self.part, self.path)

    def _write(self, line: dict[str, Any]) -> None:
        self.file.write(json.dumps(line, separators=(",", ":")) + "\n")


def open_log(path: Path, stage: Stage, frame: np.ndarray) -> ActionLog | None:
    """The log of a stage that can be replayed, None for the real game, which cannot.

    The state to replay from lies beside it: a world in the middle of play is megabytes.
    """
    try:
        state = stage.save()
    except CannotError:
        return None
    beside = path.with_suffix(".state")
    part = beside.with_name(f".{beside.name}{PART}")
    part.write_bytes(state)
    commit(part, beside)
    header = {
        "log": 1,
        "world": stage.title,
        "seed": stage.seed,
        "state": beside.name,
        "digest": digest(frame),
    }
    return ActionLog(path, header)


def digest(frame: np.ndarray) -> str:
    """A short fingerprint of a picture, to compare a replay frame by frame."""
    return hashlib.sha256(np.ascontiguousarray(frame).tobytes()).hexdigest()[:16]


def _event(event: Any, frame: int) -> Event:
    if isinstance(event, dict):
        return Event(frame, str(event["type"]), str(event.get("node", "")))
    return Event(frame, event.kind, event.name)


def _lock(folder: Path) -> TextIO:
    """One recording at a time in a folder: a second writer would tidy up the files of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / ".lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise CannotError(f"another game records into {folder}; use another --folder") from None
    return file
