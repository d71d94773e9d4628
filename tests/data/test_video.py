from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nfd_gym.data.clip import DataError
from nfd_gym.data.video import VideoReader, decode_picture, index_video, resize


def test_the_index_knows_every_frame(movie):
    path, _ = movie
    index = index_video(path)
    assert len(index) == 60 and (index.height, index.width) == (16, 24)
    assert index.key_frames[0] == 0 and len(index.key_frames) >= 3
    assert index.fps == 20 and (np.diff(index.pts) > 0).all()


@pytest.mark.parametrize("start", range(0, 60, 7))
def test_any_stretch_is_exactly_those_frames(movie, start):
    path, frames = movie
    reader = VideoReader()
    for stop in (start, start + 1, min(60, start + 9), 60):
        assert np.array_equal(reader.read(path, index_video(path), start, stop), frames[start:stop])
    reader.close()


def test_order_of_reading_does_not_matter(movie):
    """The decoder's state after one window must not leak into the next, backwards neither."""
    path, frames = movie
    index, reader = index_video(path), VideoReader()
    for start in np.random.default_rng(1).integers(0, 57, 40):
        assert np.array_equal(reader.read(path, index, start, start + 3), frames[start : start + 3])
    reader.close()


@pytest.mark.parametrize(("gop", "bframes"), [(1, 0), (2, 2), (5, 0), (250, 3)])
def test_every_shape_of_groups(tmp_path, encode_mp4, gop, bframes):
    frames = np.random.default_rng(2).integers(0, 256, (23, 16, 16, 3), dtype=np.uint8)
    encode_mp4(tmp_path / "a.mp4", frames, gop=gop, bframes=bframes)
    index, reader = index_video(tmp_path / "a.mp4"), VideoReader()
    for start in (0, 1, 4, 5, 11, 22):
        got = reader.read(tmp_path / "a.mp4", index, start, 23)
        assert np.array_equal(got, frames[start:])
    reader.close()


def test_readers_of_several_threads_agree(movie):
    path, frames = movie
    index = index_video(path)

    def read(start):
        reader = VideoReader()
        picture = reader.read(path, index, start, start + 5)
        reader.close()
        return picture

    with ThreadPoolExecutor(4) as pool:
        for start, got in enumerate(pool.map(read, range(40))):
            assert np.array_equal(got, frames[start : start + 5])


def test_few_files_stay_open(tmp_path, encode_mp4):
    frames = np.zeros((3, 16, 16, 3), np.uint8)
    reader = VideoReader(open_files=2)
    for number in range(5):
        path = tmp_path / f"{number}.mp4"
        encode_mp4(path, frames)
        reader.read(path, index_video(path), 0, 3)
        assert len(reader.containers) <= 2
    reader.close()


@pytest.mark.parametrize("window", [(-1, 3), (58, 61), (4, 3)])
def test_frames_that_are_not_there(movie, window):
    path, _ = movie
    with pytest.raises(DataError, match="it has 60"):
        VideoReader().read(path, index_video(path), *window)


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 50])
def test_files_that_are_no_video(tmp_path, content):
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.mp4: cannot be read as video"):
        index_video(path)


def test_a_truncated_file(tmp_path, movie):
    """An mp4 whose table of contents at the end is cut off cannot be opened."""
    path = tmp_path / "cut.mp4"
    path.write_bytes(movie[0].read_bytes()[:-2000])
    with pytest.raises(DataError, match="cut short or damaged"):
        index_video(path)


def test_damage_in_the_middle_is_an_error_not_a_grey_picture(tmp_path, movie):
    data = bytearray(movie[0].read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    path = tmp_path / "hole.mp4"
    path.write_bytes(bytes(data))
    index, reader = index_video(path), VideoReader()
    with pytest.raises(DataError, match=r"hole\.mp4"):
        reader.read(path, index, 0, 60)
    reader.close()


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read as video"):
        index_video(tmp_path / "none.mp4")


def test_resize_averages_areas():
    frames = np.zeros((2, 4, 8, 3), np.uint8)
    frames[:, :, 4:] = 200
    small = resize(frames, (2, 4))
    assert small.shape == (2, 2, 4, 3)
    assert small[0, 0, :, 0].tolist() == [0, 0, 200, 200]
    assert resize(frames, (4, 8)) is frames


def test_decode_picture_refuses_garbage():
    with pytest.raises(DataError, match="a picture cannot be decoded"):
        decode_picture(b"\xff\xd8garbage", "somewhere")
