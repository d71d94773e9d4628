"""Exact frames out of compressed video: frame i is the i-th picture in order of presentation."""

import errno
import io
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from nfd_gym.data.clip import DataError, Frames

# The container is told by the name, not found by probing: a text that lists other files is no mp4.
PICTURES = {b"\xff\xd8": "jpeg_pipe", b"\x89PNG": "png_pipe"}  # first bytes -> ffmpeg's reader
CONTAINERS = {".mp4": "mov", ".mov": "mov", ".mkv": "matroska", ".webm": "matroska"}


def open_video(path: Path) -> Any:
    """One video file opened for reading, decoded by one thread."""
    if path.suffix not in CONTAINERS:
        raise DataError(f"{path}: no known kind of video; convert it to mp4.")
    container = av.open(str(path), format=CONTAINERS[path.suffix])
    for stream in container.streams.video:
        # The loader runs one reader per thread; decoder threads would fight over cores.
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
    return container


class Header(NamedTuple):
    """What a file says of its video, read without demuxing it."""

    frames: int  # 0: not told
    height: int
    width: int
    fps: float


def read_header(path: Path) -> Header:
    """The header of one video file, or one sentence why it cannot be used."""
    try:
        with open_video(path) as container:
            if not container.streams.video:
                raise DataError(f"{path}: no video in this file; record it again.")
            stream = container.streams.video[0]
            context = stream.codec_context
            rate = float(stream.average_rate or 0)
            return Header(int(stream.frames), context.height, context.width, rate)
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error


@dataclass(frozen=True)
class VideoIndex:
    """Where every frame of a file is: read once by demuxing, without decoding."""

    pts: NDArray[np.int64]  # presentation time of each frame, sorted
    key_frames: NDArray[np.int64]  # frame numbers at which decoding can start
    key_dts: NDArray[np.int64]  # their decoding times, which mp4 seeks by
    height: int
    width: int
    fps: float
    depth: bool = False  # 16-bit grey instead of colour

    def __len__(self) -> int:
        return len(self.pts)


def index_video(path: Path) -> VideoIndex:
    """Index one video file, or say in one sentence why it cannot be used."""
    try:
        with open_video(path) as container:
            if not container.streams.video:
                raise DataError(f"{path}: no video in this file; record it again.")
            stream = container.streams.video[0]
            packets = [
                (packet.pts, packet.dts, packet.is_keyframe)
                for packet in container.demux(stream)
                if packet.size and not packet.is_discard
            ]
            height, width = stream.codec_context.height, stream.codec_context.width
            depth = stream.codec_context.pix_fmt == "gray16le"
            fps = float(stream.average_rate or 0)
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error
    if not packets or not packets[0][2]:
        raise DataError(f"{path}: holds no complete frame; record it again.")
    if any(pts is None or dts is None for pts, dts, _ in packets):
        raise DataError(f"{path}: frames without time stamps; convert the file to mp4.")
    pts = np.sort(np.array([packet[0] for packet in packets], np.int64))
    keys = sorted((packet[0], packet[1]) for packet in packets if packet[2])
    return VideoIndex(
        pts=pts,
        key_frames=np.searchsorted(pts, np.array([key[0] for key in keys], np.int64)),
        key_dts=np.array([key[1] for key in keys], np.int64),
        height=height,
        width=width,
        fps=fps,
        depth=depth,
    )


def _too_many_files(path: Path, error: Exception) -> DataError | None:
    """The right sentence for a process that ran out of file handles: the file is not to blame."""
    if getattr(error, "errno", None) not in (errno.EMFILE, errno.ENFILE):
        return None
    return DataError(
        f"{path}: this process has too many open files; close environments and sources that are "
        "no longer used, or raise the limit with `ulimit -n`."
    )


def _unreadable(path: Path, error: Exception) -> DataError:
    return _too_many_files(path, error) or DataError(
        f"{path}: cannot be read as video ({error}); the file is empty, cut short or damaged, "
        "copy or record it again."
    )


def decode_picture(data: bytes, name: str) -> Frames:
    """One compressed picture (JPEG, PNG) as uint8 (H, W, 3) RGB."""
    kind = next((kind for magic, kind in PICTURES.items() if data.startswith(magic)), None)
    if kind is None:
        raise DataError(f"{name}: a picture is neither JPEG nor PNG; convert it.")
    try:
        with av.open(io.BytesIO(data), "r", format=kind) as container:
            picture = next(iter(container.decode(video=0)))
            return np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
    except (av.FFmpegError, OSError, StopIteration) as error:
        raise DataError(f"{name}: a picture cannot be decoded ({error}); copy it again.") from error


def resize(frames: Frames, size: tuple[int, int]) -> Frames:
    """Frames (T, H, W, 3) at another size (H, W), area-averaged; the same size costs nothing."""
    if frames.shape[1:3] == size:
        return frames
    reformatter = VideoReformatter()
    small = np.empty((len(frames), *size, 3), np.uint8)
    for index, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = reformatter.reformat(
            picture, width=size[1], height=size[0], format="rgb24", interpolation="AREA"
        )
        small[index] = picture.to_ndarray()
    return small


class VideoReader:
    """Random access to many files through a few open decoders. One reader belongs to one thread.

    With open_files=0 every file is closed after each read: for a source that is read seldom.
    """

    def __init__(self, open_files: int = 24) -> None:
        self.open_files = open_files
        self.containers: OrderedDict[Path, Any] = OrderedDict()
        self.reformatter = VideoReformatter()

    def read(self, path: Path, index: VideoIndex, start: int, stop: int) -> NDArray[Any]:
        """Frames start..stop-1: uint8 (T, H, W, 3) RGB, or uint16 (T, H, W) of a depth file."""
        if not 0 <= start <= stop <= len(index):
            raise DataError(f"{path}: frames {start}..{stop} asked for, it has {len(index)}.")
        shape = (stop - start, index.height, index.width)
        frames: NDArray[Any] = (
            np.empty(shape, np.uint16) if index.depth else np.empty((*shape, 3), np.uint8)
        )
        if start == stop:
            return frames
        wanted = index.pts[start:stop]
        key = int(np.searchsorted(index.key_frames, start, side="right")) - 1
        try:
            done = self._decode(path, index, key, wanted, frames)
            if done < len(wanted) and key > 0:  # a seek that landed late: start again from the top
                done = self._decode(path, index, 0, wanted, frames)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._forget(path)
            raise _too_many_files(path, error) or DataError(
                f"{path}: frames {start}..{stop - 1} cannot be decoded ({error}); copy or record "
                "the file again."
            ) from error
        if done < len(wanted):
            self._forget(path)
            raise DataError(
                f"{path}:{start + done}: this frame cannot be decoded, the file is damaged there; "
                "copy or record it again."
            )
        while len(self.containers) > self.open_files:
            self.containers.popitem(last=False)[1].close()
        return frames

    def close(self) -> None:
        """Close every file; a later read opens it again."""
        for container in self.containers.values():
            container.close()
        self.containers.clear()

    def _forget(self, path: Path) -> None:
        container = self.containers.pop(path, None)
        if container is not None:
            container.close()

    def _decode(
        self, path: Path, index: VideoIndex, key: int, wanted: NDArray[np.int64], frames: Any
    ) -> int:
        """Fill `frames` with the pictures at times `wanted`; returns how many came in order."""
        container = self._container(path)
        stream = container.streams.video[0]
        container.seek(int(index.key_dts[key]), stream=stream)
        codec = stream.codec_context
        alone = len(index.key_frames) == len(index)  # every frame can be decoded by itself
        done = 0
        for packet in container.demux(stream):
            # On the way to the first wanted frame, frames that no other needs are not decoded.
            early = packet.pts is not None and packet.pts < wanted[0]
            if early and alone:
                continue
            codec.skip_frame = "NONREF" if early else "DEFAULT"
            for picture in packet.decode():
                if picture.pts is None or picture.pts < wanted[done]:
                    continue
                if picture.pts > wanted[done] or picture.is_corrupt:
                    return done
                frames[done] = _grey(picture) if index.depth else self._rgb(picture)
                done += 1
                if done == len(wanted):
                    return done
        return done

    def _rgb(self, picture: Any) -> Frames:
        """One decoded picture as a view of RGB bytes, without the padding of its lines."""
        rgb = self.reformatter.reformat(picture, format="rgb24", src_colorspace=picture.colorspace)
        plane: Any = rgb.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(rgb.height, plane.line_size)
        return rows[:, : rgb.width * 3].reshape(rgb.height, rgb.width, 3)

    def _container(self, path: Path) -> Any:
        if path in self.containers:
            self.containers.move_to_end(path)
            return self.containers[path]
        self.containers[path] = open_video(path)
        return self.containers[path]


def _grey(picture: Any) -> NDArray[np.uint16]:
    """One decoded 16-bit picture as a view, without the padding of its lines."""
    plane: Any = picture.planes[0]
    rows = np.frombuffer(plane, "<u2").reshape(picture.height, plane.line_size // 2)
    return rows[:, : picture.width]
