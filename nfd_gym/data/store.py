"""The store: a folder of NAME.mp4 + NAME.jsonl + index.json, the VPT layout with a known codec.

A clip is on disk whole or not at all, and the index is rewritten after each one: an interrupted
recording or import continues where it stopped.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from numpy.typing import ArrayLike

from nfd_gym.actions import ActionCodec
from nfd_gym.data.clip import Clip, DataError, Event, Floats, Frames
from nfd_gym.data.files import PART, commit, explain, write_text
from nfd_gym.data.index import WRITER, read_index
from nfd_gym.data.rows import row_of

BT601 = 6  # SMPTE 170M, limited range: what players assume for small pictures, and the footage's
LIMITED = 1


class ClipWriter:
    """Adds clips to a folder; what is already there is kept and can be skipped by name.

    crf is x264's quality (18: hardly visible loss, 0: lossless RGB). Every `gop` frames there is a
    key frame, so that a training window decodes little more than itself.
    """

    def __init__(
        self,
        folder: str | Path,
        codec: ActionCodec,
        *,
        fps: float,
        size: tuple[int, int],  # (H, W)
        crf: int = 18,
        gop: int = 10,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder, self.codec, self.fps, self.size = Path(folder), codec, fps, size
        self.crf, self.gop = crf, gop
        self.entries: dict[str, dict[str, Any]] = {}
        if fps <= 0 or min(size) < 1:
            raise DataError(f"{folder}: fps and size must be positive, got {fps} and {size}.")
        with explain(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self.head = {
            "format": 1,
            "writer": WRITER,
            "fps": fps,
            "height": size[0],
            "width": size[1],
            "codec": codec.to_json(),
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
            by_frame: dict[int, list[Event]] = {}
            for event in clip.events:
                by_frame.setdefault(event.frame, []).append(event)
            for index, frame in enumerate(clip.frames):
                file.add(
                    frame,
                    clip.actions[index],
                    reward=None if clip.rewards is None else float(clip.rewards[index]),
                    pitch=None if clip.pitch is None else float(clip.pitch[index]),
                    events=by_frame.get(index, ()),
                    state={key: values[index] for key, values in clip.state.items()},
                )

    def add_entry(self, entry: dict[str, Any]) -> None:
        """Side effect: lists one finished clip in index.json."""
        self.entries[entry["name"]] = entry
        index = {**self.head, "clips": list(self.entries.values())}
        write_text(self.folder / "index.json", json.dumps(index, indent=1))

    def _continue(self) -> None:
        old = read_index(self.folder)
        before = json.loads((self.folder / "index.json").read_text("utf-8"))
        for key in ("writer", "fps", "height", "width", "codec"):
            if before.get(key) != self.head[key]:
                raise DataError(
                    f"{self.folder}: holds clips with {key} {before.get(key)!r}, not "
                    f"{self.head[key]!r}; write to another folder."
                )
        self.entries = dict(old.about or {})


class ClipFile:
    """One clip being written: frames in order, each with the action that produced it."""

    def __init__(self, writer: ClipWriter, name: str, about: dict[str, Any]) -> None:
        self.writer, self.name, self.about = writer, name, about
        self.frames = 0
        self.video = writer.folder / f".{name}.mp4{PART}"
        self.rows = writer.folder / f".{name}.jsonl{PART}"
        self._pending: dict[str, Any] = {}
        self._before: Floats | None = None
        with explain(self.video):
            self._rows = self.rows.open("w", encoding="utf-8")
            self._container = av.open(str(self.video), "w", format="mp4")
            self._stream = self._open_stream()

    def add(
        self,
        frame: Frames,
        action: ArrayLike,
        *,
        reward: float | None = None,
        pitch: float | None = None,
        events: Sequence[Event] = (),
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Append one frame, the action vector (A,) that produced it and what it caused."""
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
        with explain(self.video):
            if self.frames:
                self._flush_row(vector, reward, events)
            logs = {key: _plain(value) for key, value in (state or {}).items()}
            self._pending = logs if pitch is None else {**logs, "pitch": float(pitch)}
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            if self.writer.crf:
                picture = picture.reformat(
                    format=self._stream.pix_fmt, dst_colorspace=BT601, interpolation="AREA"
                )
            picture.pts, picture.time_base = self.frames, 1 / self._rate
            for packet in self._stream.encode(picture):
                self._container.mux(packet)
        self.frames += 1

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
            with suppress(OSError, av.FFmpegError):
                self._rows.close()
            with suppress(OSError, av.FFmpegError):
                self._container.close()
            self.video.unlink(missing_ok=True)
            self.rows.unlink(missing_ok=True)

    def _finish(self) -> None:
        with explain(self.video):
            noop = self.writer.codec.encode(self.writer.codec.noop())
            self._flush_row(noop, None, ())  # nothing was chosen on the last frame
            for packet in self._stream.encode(None):
                self._container.mux(packet)
            self._container.close()
            self._rows.close()
            commit(self.video, self.writer.folder / f"{self.name}.mp4")
            commit(self.rows, self.writer.folder / f"{self.name}.jsonl")
        self.writer.add_entry({"name": self.name, "frames": self.frames, **self.about})

    def _flush_row(self, chosen: Floats, reward: float | None, events: Sequence[Event]) -> None:
        """Write the row of the last frame: its state and the action that was chosen on it."""
        tick = self.frames - 1
        row = row_of(self.writer.codec, chosen, self._before, self._pending)
        row |= {"tick": tick, "milli": round(1000 * tick / self.writer.fps)}
        if reward is not None:
            row["reward"] = reward
        row["events"] = [{"type": event.kind, "node": event.name} for event in events]
        self._rows.write(json.dumps(row, separators=(",", ":"), allow_nan=False) + "\n")
        self._before = chosen

    @property
    def _rate(self) -> Fraction:
        return Fraction(self.writer.fps).limit_denominator(1001)

    def _open_stream(self) -> Any:
        height, width = self.writer.size
        lossless = self.writer.crf == 0
        stream: Any = self._container.add_stream(
            "libx264rgb" if lossless else "libx264", rate=self._rate
        )
        stream.width, stream.height = width, height
        # Colour at half resolution needs even sides.
        stream.pix_fmt = "rgb24" if lossless else "yuv444p" if (height | width) % 2 else "yuv420p"
        stream.options = {"crf": str(self.writer.crf), "preset": "veryfast", "bf": "0"}
        stream.codec_context.gop_size = self.writer.gop
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = 1 / self._rate
        if not lossless:
            stream.codec_context.colorspace, stream.codec_context.color_range = BT601, LIMITED
        return stream


def write_clip(folder: str | Path, clip: Clip, codec: ActionCodec, **options: Any) -> None:
    """Side effect: adds one clip to a store, creating it where there is none."""
    size = (clip.frames.shape[1], clip.frames.shape[2])
    ClipWriter(folder, codec, fps=clip.fps, size=size, **options).write(clip)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic | np.ndarray) else value
