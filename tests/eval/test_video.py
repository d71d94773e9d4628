"""Pictures and films can be read back."""

import struct
import zlib
from pathlib import Path

import av
import numpy as np
import pytest

from nfd_gym.eval.video import (
    contact_sheet,
    numbered,
    side_by_side,
    write_gif,
    write_mp4,
    write_png,
)


def gradient(frames: int, height: int = 32, width: int = 48) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 90)], axis=-1)
    return np.stack([np.roll(base, 2 * t, axis=1) for t in range(frames)]).astype(np.uint8)


def test_png_holds_the_exact_pixels(tmp_path: Path) -> None:
    picture = gradient(1)[0]
    write_png(tmp_path / "a.png", picture)
    data = (tmp_path / "a.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    (size,) = struct.unpack(">I", data[33:37])
    assert data[37:41] == b"IDAT"
    rows = np.frombuffer(zlib.decompress(data[41 : 41 + size]), np.uint8).reshape(32, -1)
    np.testing.assert_array_equal(rows[:, 1:].reshape(32, 48, 3), picture)


def test_contact_sheet_places_frames_in_order() -> None:
    videos = [gradient(5), 255 - gradient(5)]
    sheet = contact_sheet(videos, [0, 4], gap=2)
    assert sheet.shape == (2 * 32 + 2, 2 * 48 + 2, 3)
    # The lower right corner of each cell is free of the number.
    np.testing.assert_array_equal(sheet[20:32, 30:48], videos[0][0][20:, 30:])
    np.testing.assert_array_equal(sheet[54:66, 80:98], videos[1][4][20:, 30:])


def test_numbers_differ_and_do_not_touch_the_original() -> None:
    picture = gradient(1)[0]
    kept = picture.copy()
    labels = {numbered(picture, n)[:14, :24].tobytes() for n in range(10)}
    assert len(labels) == 10
    np.testing.assert_array_equal(picture, kept)


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_films_keep_frames_size_and_rate(tmp_path: Path, kind: str) -> None:
    film = side_by_side(gradient(6), gradient(6), gap=4)
    path = tmp_path / f"a.{kind}"
    (write_mp4 if kind == "mp4" else write_gif)(path, film, 20.0)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        back = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert float(stream.average_rate) == pytest.approx(20)
    assert len(back) == 6 and back[0].shape == (32, 100, 3)
    assert np.abs(back[3].astype(int) - film[3]).mean() < 12
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_odd_sizes_are_padded_for_h264(tmp_path: Path) -> None:
    write_mp4(tmp_path / "a.mp4", gradient(2, 31, 47), 20.0)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert next(container.decode(video=0)).to_ndarray(format="rgb24").shape == (32, 48, 3)
