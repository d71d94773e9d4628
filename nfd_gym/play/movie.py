"""Moving pictures as files: mp4 (H.264) and gif, written whole or not at all."""

import os
from pathlib import Path

import av
import numpy as np
from PIL import Image

from nfd_gym.errors import UsageError

GIF_COLOURS = 128


class Mp4:
    """An mp4 that grows frame by frame and appears under its name when closed."""

    def __init__(self, path: Path, size: tuple[int, int], fps: int, scale: int) -> None:
        height, width = size
        self.path, self.scale = path, scale
        self.part = path.with_name(f".{path.name}.part")
        self.file = av.open(str(self.part), "w", format="mp4")
        # x264's macroblock tree makes other bytes of equal small pictures from run to run.
        options = {"crf": "18", "preset": "fast", "x264-params": "mbtree=0"}
        self.stream = self.file.add_stream("libx264", rate=fps, options=options)
        # H.264 with subsampled colour needs even sizes.
        self.stream.width, self.stream.height = width * scale // 2 * 2, height * scale // 2 * 2
        self.stream.pix_fmt = "yuv420p"

    def add(self, frame: np.ndarray) -> None:
        large = _enlarge(frame, self.scale)[: self.stream.height, : self.stream.width]
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(large), format="rgb24")
        self.file.mux(self.stream.encode(picture))

    def close(self) -> None:
        self.file.mux(self.stream.encode())
        self.file.close()
        _publish(self.part, self.path)


class Gif:
    """A looping gif with one palette for the whole film, so that still areas do not flicker."""

    def __init__(self, path: Path, fps: int, scale: int) -> None:
        self.path, self.scale = path, scale
        self.every = max(1, round(fps / 10))  # 10 pictures a second keep the file small
        self.frame_ms = 1000 * self.every // fps
        self.count = 0
        self.frames: list[np.ndarray] = []

    def add(self, frame: np.ndarray) -> None:
        if self.count % self.every == 0:
            self.frames.append(frame)
        self.count += 1

    def close(self) -> None:
        sample = np.concatenate(self.frames[:: max(1, len(self.frames) // 16)])
        palette = Image.fromarray(sample).quantize(GIF_COLOURS, Image.Quantize.MEDIANCUT)
        pictures = [
            Image.fromarray(_enlarge(frame, self.scale)).quantize(
                palette=palette, dither=Image.Dither.NONE
            )
            for frame in self.frames
        ]
        part = self.path.with_name(f".{self.path.name}.part")
        pictures[0].save(
            part, "GIF", save_all=True, append_images=pictures[1:], loop=0,
            duration=self.frame_ms, optimize=False,
        )  # fmt: skip
        _publish(part, self.path)


def open_movie(path: Path, size: tuple[int, int], *, fps: int, scale: int) -> Mp4 | Gif:
    """The writer that the file's ending asks for."""
    if path.suffix not in (".mp4", ".gif"):
        raise UsageError(f"--out {path}: name a .mp4 or a .gif file")
    if not path.parent.is_dir():
        raise UsageError(f"--out {path}: the folder {path.parent} does not exist, make it first")
    return Mp4(path, size, fps, scale) if path.suffix == ".mp4" else Gif(path, fps, scale)


def _enlarge(frame: np.ndarray, scale: int) -> np.ndarray:
    return frame.repeat(scale, axis=0).repeat(scale, axis=1)


def _publish(part: Path, path: Path) -> None:
    """Side effect: the finished file takes its name, after it is safely on the disk."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
