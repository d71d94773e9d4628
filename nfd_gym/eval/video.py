"""Pictures to look at: contact sheets (PNG) and real | dream films (mp4, gif)."""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import av.filter
import numpy as np

from nfd_gym.eval.rollout import Frames

# 3 x 5 dots per digit, rows from the top, as bits: enough to number frames without a font.
DIGITS = {
    "0": (7, 5, 5, 5, 7), "1": (2, 6, 2, 2, 7), "2": (7, 1, 7, 4, 7), "3": (7, 1, 7, 1, 7),
    "4": (5, 5, 7, 1, 1), "5": (7, 4, 7, 1, 7), "6": (7, 4, 7, 5, 7), "7": (7, 1, 2, 2, 2),
    "8": (7, 5, 7, 5, 7), "9": (7, 5, 7, 1, 7),
}  # fmt: skip


def write_png(path: Path, picture: Frames) -> None:
    """Write (H, W, 3) uint8."""
    height, width, _ = picture.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, -1)], axis=1)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6))
        + chunk(b"IEND", b"")
    )
    with _temporary(path) as draft:
        draft.write_bytes(data)


def contact_sheet(rows: Sequence[Frames], times: Sequence[int], gap: int = 2) -> Frames:
    """One picture: a row per video (T, H, W, 3), a column per frame of `times`, each numbered.

    Give the rows in the order real, dream, real, dream, ...
    """
    height, width = rows[0].shape[1:3]
    sheet = np.zeros(
        (len(rows) * (height + gap) - gap, len(times) * (width + gap) - gap, 3), np.uint8
    )
    for i, video in enumerate(rows):
        for j, time in enumerate(times):
            top, left = i * (height + gap), j * (width + gap)
            sheet[top : top + height, left : left + width] = numbered(video[time], time + 1)
    return sheet


def numbered(picture: Frames, number: int, scale: int = 2) -> Frames:
    """A copy with the number in the upper left corner, white on black."""
    dots = np.concatenate(
        [
            np.array([[row >> 2 & 1, row >> 1 & 1, row & 1, 0] for row in DIGITS[d]])
            for d in str(number)
        ],
        axis=1,
    )
    label = np.pad(dots, ((1, 1), (1, 0))).repeat(scale, axis=0).repeat(scale, axis=1)
    out = picture.copy()
    space = out[: label.shape[0], : label.shape[1]]
    space[:] = (label[: space.shape[0], : space.shape[1], None] * 255).astype(np.uint8)
    return out


def side_by_side(real: Frames, dream: Frames, gap: int = 4) -> Frames:
    """(T, H, W, 3) twice -> real | dream (T, H, 2 W + gap, 3)."""
    line = np.full((*real.shape[:2], gap, 3), 255, np.uint8)
    return np.concatenate([real, line, dream], axis=2)


def write_mp4(path: Path, frames: Frames, fps: float, quality: int = 20) -> None:
    """H.264 film of (T, H, W, 3); one black row or column is added to odd sizes."""
    height, width = frames.shape[1:3]
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    with _temporary(path) as draft, av.open(str(draft), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(quality), "preset": "medium"}
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_gif(path: Path, frames: Frames, fps: float) -> None:
    """Looping gif of (T, H, W, 3) with a palette made for it. At 20 fps a second costs about 0.5
    MB."""
    rate = Fraction(fps).limit_denominator(1000)
    height, width = frames.shape[1:3]
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat("rgb24"), time_base=1 / rate
    )
    split, palette = graph.add("split"), graph.add("palettegen", "stats_mode=diff")
    use, sink = graph.add("paletteuse", "dither=none"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(use, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    for index, picture in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = index, 1 / rate
        graph.push(frame)
    graph.push(None)
    with _temporary(path) as draft, av.open(str(draft), "w", format="gif") as container:
        stream = container.add_stream("gif", rate=rate)
        stream.height, stream.width, stream.pix_fmt = height, width, "pal8"
        for _ in range(len(frames)):
            drawn = graph.pull()
            assert isinstance(drawn, av.VideoFrame)
            container.mux(stream.encode(drawn))
        container.mux(stream.encode())


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """A draft beside `path` that takes its name when finished, so that no reader sees half a
    file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield draft
        with draft.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
