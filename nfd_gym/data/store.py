"""The store: a folder of NAME.mp4 + NAME.jsonl + index.json, the VPT layout with a known codec.

A store with depth has NAME.depth.mkv beside each clip, and the eye's pose in every row.

A clip is on disk whole or not at all, and the index is rewritten after each one: an interrupted
recording or import continues where it stopped.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nfd_gym.actions import ActionCodec
from nfd_gym.data.clip import POSE, Clip, DataError, Depth, Event, Floats, Frames, Source
from nfd_gym.data.encode import ColourEncoder, DepthEncoder, VideoEncoder
from nfd_gym.data.files import PART, commit, explain, write_text
from nfd_gym.data.index import WRITER, read_index
from nfd_gym.data.rows import row_of
from nfd_gym.data.sources.vpt import VPTSource

DIGITS = 4  # of a pose in the rows: 0.1 mm, 0.0001 degrees
SUFFIXES = (".mp4", ".depth.mkv", ".jsonl")


class ClipWriter:
    """Adds clips to a folder; what is already there is kept and can be skipped by name.

    crf is x264's quality (18: hardly visible loss, 14 with depth, 0: lossless RGB). Every `gop`
    frames there is a key frame, so that a training window decodes little more than itself.
    A store with depth keeps colour at full resolution and needs the vertical field of view,
    `fov_y` in degrees, if the codec's camera does not tell it. `spec` is the game's, as JSON; a
    world trained on the store carries it on.
    """

    def __init__(
        self,
        folder: str | Path,
        codec: ActionCodec,
        *,
        fps: float,
        size: tuple[int, int],  # (H, W)
        crf: int | None = None,
        gop: int = 10,
        depth: bool = False,
        fov_y: float | None = None,
        spec: Mapping[str, Any] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.codec, self.fps, self.size = Path(folder), codec, fps, size
        self.crf = (14 if depth else 18) if crf is None else crf
        self.gop, self.depth = gop, depth
        self.entries: dict[str, dict[str, Any]] = {}
        if fps <= 0 or min(size) < 1:
            raise DataError(f"{folder}: fps and size must be positive, got {fps} and {size}.")
        if fov_y is None and codec.camera is not None:
            fov_y = codec.camera.fov_y
        if (depth and fov_y is None) or (fov_y is not None and not 0 < fov_y < 180):
            raise DataError(
                f"{folder}: depth needs the vertical field of view, fov_y between 0 and 180 "
                f"degrees, got {fov_y}."
            )
        with explain(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self.head = {
            "format": 1,
            "writer": WRITER,
            "fps": fps,
            "height": size[0],
            "width": size[1],
            "codec": codec.to_json(),
            **({"depth": True, "fov_y": fov_y} if depth else {}),
            **({"spec": dict(spec)} if spec else {}),
            **(about or {}),
        }
        if (self.folder / "index.json").exists():
            self._continue()
        for stale in self.folder.glob(f".*{PART}"):
            stale.unlink()

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def clip(self, name: str, about: Mapping[str, Any] | None = None) -> "ClipFile":
        """A new clip to add frames to; use it in a `with` block."""
        if name in self or not name or Path(name).name != name or name.startswith("."):
            raise DataError(f"{self.folder}: {name!r} is taken or not a plain file name.")
        return ClipFile(self, name, dict(about or {}))

    def write(self, clip: Clip, name: str | None = None, **about: Any) -> None:
        """Side effect: adds one whole clip."""
        with self.clip(name or clip.name, about) as file:
            file.extend(clip)

    def add_entry(self, entry: dict[str, Any]) -> None:
        """Side effect: lists one finished clip in index.json."""
        self.entries[entry["name"]] = entry
        index = {**self.head, "clips": list(self.entries.values())}
        write_text(self.folder / "index.json", json.dumps(index, indent=1))

    def _continue(self) -> None:
        old = read_index(self.folder)
        before = json.loads((self.folder / "index.json").read_text("utf-8"))
        for key in ("writer", "fps", "height", "width", "codec", "depth", "fov_y"):
            if before.get(key) != self.head.get(key):
                raise DataError(
                    f"{self.folder}: holds clips with {key} {before.get(key)!r}, not "
                    f"{self.head.get(key)!r}; write to another folder."
                )
        self.entries = dict(old.about or {})


class ClipFile:
    """One clip being written: frames in order, each with the action that produced it."""

    def __init__(self, writer: ClipWriter, name: str, about: dict[str, Any]) -> None:
        self.writer, self.name, self.about = writer, name, about
        self.frames = 0
        self.parts = {suffix: writer.folder / f".{name}{suffix}{PART}" for suffix in SUFFIXES}
        self.video, self.rows = self.parts[".mp4"], self.parts[".jsonl"]
        self._pending: dict[str, Any] = {}
        self._before: Floats | None = None
        self._depth: VideoEncoder | None = None
        try:
            with explain(self.video):
                self._open()
        except BaseException:  # an interruption too: what is half open is in nobody's `with` yet
            self._discard()
            raise

    def _open(self) -> None:
        writer = self.writer
        self._colour: VideoEncoder = ColourEncoder(
            self.video,
            writer.fps,
            writer.size,
            crf=writer.crf,
            gop=writer.gop,
            fine=writer.depth,
        )
        if writer.depth:
            self._depth = DepthEncoder(self.parts[".depth.mkv"], writer.fps, writer.size)
        self._rows = self.rows.open("w", encoding="utf-8")

    def _discard(self) -> None:
        for part in self.parts.values():
            part.unlink(missing_ok=True)

    def add(
        self,
        frame: Frames,
        action: ArrayLike,
        *,
        reward: float | None = None,
        pitch: float | None = None,
        events: Sequence[Event] = (),
        state: Mapping[str, Any] | None = None,
        depth: Depth | None = None,
        pose: ArrayLike | None = None,
    ) -> None:
        """Append one frame, the action vector (A,) that produced it and what it caused.

        `depth` is uint16 (H, W), `pose` the eye's (x, y, z, yaw, pitch) of this frame.
        """
        vector = np.asarray(action, np.float32)
        if frame.shape != (*self.writer.size, 3) or frame.dtype != np.uint8:
            raise DataError(
                f"{self.name}:{self.frames}: the frame must be uint8 {(*self.writer.size, 3)}, got "
                f"{frame.dtype} {frame.shape}."
            )
        if vector.shape != (self.writer.codec.width,) or not np.isfinite(vector).all():
            raise DataError(
                f"{self.name}:{self.frames}: the action must be {self.writer.codec.width} finite "
                f"numbers, got {action!r}."
            )
        logs = {key: _plain(value) for key, value in (state or {}).items()}
        eye = self._checked(depth, pose)
        if eye is not None:
            logs["eye"] = eye
            pitch = eye[4] if pitch is None else pitch
        if pitch is not None:
            logs["pitch"] = float(pitch)
        with explain(self.video):
            if self.frames:
                self._flush_row(vector, reward, events)
            self._pending = logs
            self._colour.add(frame)
            if self._depth is not None and depth is not None:
                self._depth.add(depth)
        self.frames += 1

    def extend(self, clip: Clip) -> None:
        """Append every frame of a clip with all that belongs to it."""
        by_frame: dict[int, list[Event]] = {}
        for event in clip.events:
            by_frame.setdefault(event.frame, []).append(event)
        for index, frame in enumerate(clip.frames):
            self.add(
                frame,
                clip.actions[index],
                reward=None if clip.rewards is None else float(clip.rewards[index]),
                pitch=None if clip.pitch is None else float(clip.pitch[index]),
                events=by_frame.get(index, ()),
                state={key: values[index] for key, values in clip.state.items()},
                depth=None if clip.depth is None else clip.depth[index],
                pose=None if clip.pose is None else clip.pose[index],
            )

    def __enter__(self) -> "ClipFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self.frames:
                self._finish()
        finally:
            # A full disk fails once more here; the clip is given up and the first error told.
            with suppress(OSError):
                self._rows.close()
            self._colour.close()
            if self._depth is not None:
                self._depth.close()
            self._discard()

    def _finish(self) -> None:
        with explain(self.video):
            noop = self.writer.codec.encode(self.writer.codec.noop())
            self._flush_row(noop, None, ())  # nothing was chosen on the last frame
            self._colour.finish()
            if self._depth is not None:
                self._depth.finish()
            self._rows.close()
            for suffix, part in self.parts.items():
                if part.exists():
                    commit(part, self.writer.folder / f"{self.name}{suffix}")
        self.writer.add_entry({"name": self.name, "frames": self.frames, **self.about})

    def _checked(self, depth: Depth | None, pose: ArrayLike | None) -> list[float] | None:
        """The pose as the row keeps it, if depth and pose are what this store holds."""
        where, wanted = f"{self.name}:{self.frames}", self.writer.depth
        if wanted and (depth is None or pose is None):
            raise DataError(f"{where}: this store keeps depth; give depth and pose of every frame.")
        if depth is not None and not wanted:
            raise DataError(f"{where}: this store keeps no depth; open it with depth=True.")
        if depth is not None and (depth.dtype != np.uint16 or depth.shape != self.writer.size):
            raise DataError(
                f"{where}: depth must be uint16 {self.writer.size}, got {depth.dtype} "
                f"{depth.shape}."
            )
        if pose is None:
            return None
        eye = np.asarray(pose, np.float64)
        if eye.shape != (POSE,) or not np.isfinite(eye).all():
            raise DataError(
                f"{where}: the pose must be {POSE} finite numbers (x, y, z, yaw, pitch), got "
                f"{pose!r}."
            )
        return [round(value, DIGITS) for value in eye.tolist()]

    def _flush_row(self, chosen: Floats, reward: float | None, events: Sequence[Event]) -> None:
        """Write the row of the last frame: its state and the action that was chosen on it."""
        tick = self.frames - 1
        row = row_of(self.writer.codec, chosen, self._before, self._pending)
        row |= {"tick": tick, "milli": round(1000 * tick / self.writer.fps)}
        if reward is not None:
            row["reward"] = reward
        row["events"] = [_plain_event(event) for event in events]
        self._rows.write(json.dumps(row, separators=(",", ":"), allow_nan=False) + "\n")
        self._before = chosen


def writer_for(
    folder: str | Path, source: Source, size: tuple[int, int] | None = None,
    spec: Mapping[str, Any] | None = None, **options: Any,
) -> ClipWriter:  # fmt: skip
    """A writer for what a source holds: its codec, frame rate and size, depth where it has it, and
    the spec of its game, unless another one is given.

    Depth cannot be brought to another size.
    """
    index = source.index if isinstance(source, VPTSource) else None
    depth = index is not None and index.depth
    if depth and size not in (None, source.size):
        raise DataError(
            f"{folder}: depth cannot be brought to another size; leave height and width out."
        )
    return ClipWriter(
        folder,
        source.codec,
        fps=source.fps,
        size=size or source.size,
        depth=depth,
        fov_y=index.fov_y if index is not None and depth else None,
        spec=spec_of(source) if spec is None else spec,
        **options,
    )


def spec_of(source: Source) -> dict[str, Any]:
    """The spec of the game that was recorded, as JSON; {} where the recording does not say."""
    return source.index.spec if isinstance(source, VPTSource) else {}


def write_clip(folder: str | Path, clip: Clip, codec: ActionCodec, **options: Any) -> None:
    """Side effect: adds one clip to a store, creating it where there is none."""
    size, depth = (clip.frames.shape[1], clip.frames.shape[2]), clip.depth is not None
    ClipWriter(folder, codec, fps=clip.fps, size=size, depth=depth, **options).write(clip)


def _plain_event(event: Event) -> dict[str, Any]:
    place = {} if event.pos is None else {"pos": list(event.pos)}
    return {"type": event.kind, "node": event.name, **place}


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value
