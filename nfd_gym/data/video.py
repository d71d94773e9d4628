"""Exact frames out of compressed video: frame i is the i-th picture in order of presentation."""

import io
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from nfd_gym.data.clip import DataError, Frames


@dataclass(frozen=True)
class VideoIndex:
    """Where every frame of a file is: read once by demuxing, without decoding."""

    pts: NDArray[np.int64]  # presentation time of each frame, sorted
    key_frames: NDArray[np.int64]  # frame numbers at which decoding can start
    key_dts: NDArray[np.int64]  # their decoding times, which mp4 seeks by
    height: int
    width: int
    fps: float

    def __len__(self) -> int:
        return len(self.pts)


def index_video(path: Path) -> VideoIndex:
    """Index one video file, or say in one sentence why it cannot be used."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: no video in this file; record it again.")
            stream = container.streams.video[0]
            packets = [
                (packet.pts, packet.dts, packet.is_keyframe)
                for packet in container.demux(stream)
                if packet.size and not packet.is_discard
            ]
            height, width = stream.codec_context.height, stream.codec_context.width
            fps = float(stream.average_rate or 0)
    except (av.FFmpegError, OSError) as error:
        raise DataError(
            f"{path}: cannot be read as video ({error}); the file is empty, cut short or damaged, "
            "copy or record it again."
        ) from error
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
    )


def decode_picture(data: bytes, name: str) -> Frames:
    """One compressed picture (JPEG, PNG) as uint8 (H, W, 3) RGB."""
    try:
        with av.open(io.BytesIO(data), "r") as container:
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
    """Random access to many files through a few open decoders. One reader belongs to one thread."""

    def __init__(self, open_files: int = 24) -> None:
        self.open_files = open_files
        self.containers: OrderedDict[Path, Any] = OrderedDict()
        self.reformatter = VideoReformatter()

    def read(self, path: Path, index: VideoIndex, start: int, stop: int) -> Frames:
        """Frames start..stop-1 as uint8 (T, H, W, 3) RGB."""
        if not 0 <= start <= stop <= len(index):
            raise DataError(f"{path}: frames {start}..{stop} asked for, it has {len(index)}.")
        frames = np.empty((stop - start, index.height, index.width, 3), np.uint8)
        if start == stop:
            return frames
        wanted = index.pts[start:stop]
        key = int(np.searchsorted(index.key_frames, start, side="right")) - 1
        try:
            done = self._decode(path, int(index.key_dts[key]), wanted, frames)
            if done < len(wanted) and key > 0:  # a seek that landed late: start again from the top
                done = self._decode(path, int(index.key_dts[0]), wanted, frames)
        except (av.FFmpegError, OSError, ValueError) as error:
            self.containers.pop(path, None)
            raise DataError(
                f"{path}: frames {start}..{stop - 1} cannot be decoded ({error}); copy or record "
                "the file again."
            ) from error
        if done < len(wanted):
            self.containers.pop(path, None)
            raise DataError(
                f"{path}:{start + done}: this frame cannot be decoded, the file is damaged there; "
                "copy or record it again."
            )
        return frames

    def close(self) -> None:
        for container in self.containers.values():
            container.close()
        self.containers.clear()

    def _decode(self, path: Path, dts: int, wanted: NDArray[np.int64], frames: Frames) -> int:
        """Fill `frames` with the pictures at times `wanted`; returns how many came in order."""
        container = self._container(path)
        stream = container.streams.video[0]
        container.seek(dts, stream=stream)
        codec = stream.codec_context
        done = 0
        for packet in container.demux(stream):
            # On the way to the first wanted frame, frames that no other needs are not decoded.
            early = packet.pts is not None and packet.pts < wanted[0]
            codec.skip_frame = "NONREF" if early else "DEFAULT"
            for picture in packet.decode():
                if picture.pts is None or picture.pts < wanted[done]:
                    continue
                if picture.pts > wanted[done] or picture.is_corrupt:
                    return done
                frames[done] = self._rgb(picture)
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
        container = av.open(str(path))
        # The loader runs one reader per thread; decoder threads would fight over cores.
        container.streams.video[0].thread_type = "NONE"
        container.streams.video[0].codec_context.thread_count = 1
        self.containers[path] = container
        while len(self.containers) > self.open_files:
            self.containers.popitem(last=False)[1].close()
        return container
