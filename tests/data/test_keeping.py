"""What sources keep in memory and open: within budgets, and nothing twice."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from nfd_gym.actions import Continuous, Discrete, KeysAndMouse
from nfd_gym.data.clip import DataError
from nfd_gym.data.codecs import require_actions, same_actions
from nfd_gym.data.lru import LRU
from nfd_gym.data.sources import open_source, vpt
from nfd_gym.data.sources.vpt import VPTSource
from nfd_gym.data.store import ClipWriter
from nfd_gym.world import load_world


def open_files(folder):
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            found.append(os.readlink(link))
        except FileNotFoundError:  # the listing's own handle
            continue
    return [name for name in found if name.startswith(str(folder))]


@pytest.fixture
def store(tmp_path, make_scroll):
    writer = ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=(32, 48))
    for number in range(6):
        writer.write(make_scroll(10, seed=number, name=f"c{number}"))
    return tmp_path


def test_the_budget_holds_and_the_last_used_stay():
    kept: LRU[str] = LRU(10, len)
    for key in ("aaaa", "bbbb", "aaaa", "cccc"):
        assert kept.get(key, lambda key=key: key) == key
    assert len(kept) == 2
    assert kept.get("aaaa", lambda: "made again") == "aaaa"
    assert kept.get("bbbb", lambda: "made again") == "made again"
    assert kept.get("x", lambda: "x" * 99) == "x" * 99 and len(kept) == 1  # the newest always stays


def test_threads_may_share_it():
    kept: LRU[int] = LRU(3)
    errors = []

    def work():
        for number in range(2000):
            if kept.get(number % 7, lambda number=number: number % 7) != number % 7:
                errors.append(number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and len(kept) <= 3


def test_rows_stay_within_their_budget(store, monkeypatch):
    """Every clip's rows used to stay for ever: 20 GB for VPT."""
    monkeypatch.setattr(vpt, "ROWS_KEPT", 25)
    parsed = []
    parse = vpt.parse_vpt_rows
    monkeypatch.setattr(
        vpt, "parse_vpt_rows", lambda path, **options: parsed.append(path) or parse(path, **options)
    )
    source = VPTSource(store)
    for index in (0, 1, 0, 1, 2, 3, 4, 5, 5, 4):
        assert len(source.read(index)) == 10
    assert len(parsed) == 6 and len(source._rows) == 2


def test_opening_a_folder_without_index_parses_nothing(pairs, make_row, monkeypatch):
    for number in range(3):
        pairs.add([make_row()] * 8, name=f"clip-{number}")

    def never(*arguments, **options):
        raise AssertionError("parsed or demuxed while opening")

    monkeypatch.setattr(vpt, "parse_vpt_rows", never)
    monkeypatch.setattr(vpt, "index_video", never)
    source = VPTSource(pairs.folder)
    assert source.lengths == [8, 8, 8] and source.size == (32, 48) and source.fps == 20


def test_blank_lines_are_no_rows(pairs, make_row):
    folder = pairs.add(
        [make_row(), "\n", make_row(), make_row(), "  \n"], np.zeros((5, 16, 16, 3), np.uint8)
    )
    source = open_source(folder)
    assert source.lengths == [3] and len(source.read(0)) == 3


def test_a_source_can_close_its_files(store):
    source = VPTSource(store)
    for index in range(6):
        source.read(index)
    assert len(open_files(store)) == 6
    source.close()
    assert not open_files(store)
    assert len(source.read(3)) == 10


def test_start_clips_hold_no_files(store, tiny_world_path):
    """24 open videos for each environment ran a process out of file handles."""
    source = VPTSource(store, open_files=0)
    for index in range(6):
        source.read(index, 2, 5)
    assert not open_files(store)
    starts = load_world(tiny_world_path).starts()
    for index in range(len(starts.names)):
        starts.read(index)
    assert not open_files(tiny_world_path)


def test_running_out_of_handles_does_not_blame_the_file(store):
    import resource

    source = VPTSource(store)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))  # nothing more can be opened
    try:
        with pytest.raises(DataError, match="too many open files; close") as error:
            source.read(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert "damaged" not in str(error.value)
    assert len(source.read(0)) == 10


@pytest.mark.parametrize("name", ["a.mp4", "b.depth.mkv"])
def test_a_text_that_lists_other_files_is_no_video(tmp_path, make_scroll, name):
    """ffmpeg's probing would open the file that a list named .mp4 points to."""
    from nfd_gym.data.video import index_video, read_header

    writer = ClipWriter(tmp_path, KeysAndMouse(), fps=20, size=(32, 48))
    writer.write(make_scroll(5, name="secret"))
    (tmp_path / name).write_text("ffconcat version 1.0\nfile secret.mp4\n")
    for read in (index_video, read_header):
        with pytest.raises(DataError, match="cannot be read as video"):
            read(tmp_path / name)


def test_a_picture_is_told_by_its_first_bytes(tmp_path):
    from nfd_gym.data.video import decode_picture

    with pytest.raises(DataError, match="neither JPEG nor PNG"):
        decode_picture(b"ffconcat version 1.0\nfile secret.mp4\n", "x")


def test_a_glitch_in_a_menu_does_not_cost_the_clip(pairs, make_row):
    """The camera is zeroed there anyway; the check of its size came first and refused the clip."""
    rows = [make_row() for _ in range(4)]
    rows[1] = make_row(isGuiOpen=True, mouse_dx=1e6)
    clip = open_source(pairs.add(rows, np.zeros((4, 16, 16, 3), np.uint8))).read(0)
    assert not KeysAndMouse().rotation(clip.actions)[1].any()


def npz(folder, actions):
    folder.mkdir()
    frames = np.zeros((len(actions) + 1, 8, 8, 3), np.uint8)
    np.savez_compressed(folder / "a.npz", frames=frames, actions=actions)
    return folder


def test_equal_actions_stay_equal_in_another_folder(tmp_path):
    """Each folder measured its own range: 0.4 here was another number there."""
    train = open_source(npz(tmp_path / "train", np.array([[-1.0], [0.4], [1.0]])))
    val = npz(tmp_path / "val", np.array([[0.0], [0.4], [0.5]]))
    alone = open_source(val)
    assert not same_actions(train.codec, alone.codec)
    assert alone.read(0).actions[2] != train.read(0).actions[2]
    together = open_source(val, codec=train.codec)
    assert together.read(0).actions[2] == train.read(0).actions[2]
    with pytest.raises(DataError, match=r"'low': \[0.0\].*those of the run are.*'low': \[-1.0\]"):
        require_actions(alone.codec, train.codec, "val", "the run")


def test_the_number_of_discrete_actions_is_that_of_the_training(tmp_path):
    train = open_source(npz(tmp_path / "train", np.array([0, 1, 3])))
    val = npz(tmp_path / "val", np.array([0, 1, 2]))
    assert open_source(val).codec.width == 3
    assert open_source(val, codec=train.codec).codec.width == 4
    with pytest.raises(DataError, match=r"'n': 4.*'n': 3"):
        open_source(tmp_path / "train", codec=open_source(val).codec)


def test_other_actions_are_refused_naming_both(store):
    with pytest.raises(DataError, match=r"keys_and_mouse.*discrete") as error:
        open_source(store, codec=Discrete(5))
    assert str(error.value).count("\n") == 0
    open_source(store, codec=KeysAndMouse("minerl", camera=None))  # offered otherwise, meant alike


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (Continuous(2), Continuous(2, -1, 1), True),
        (Continuous(2), Continuous(2, -1, 2), False),
        (Continuous(2, 0, 1), Continuous(2, 0, 1, rest=[0.5, 0.5]), False),
        (Discrete(3), Discrete(4), False),
        (Discrete(3), Continuous(3), False),
    ],
)
def test_which_codecs_mean_the_same(a, b, same):
    assert same_actions(a, b) == same


def test_opening_npz_reads_no_pixels(tmp_path, monkeypatch):
    """Every shard was decompressed at opening."""
    frames = np.zeros((400, 64, 64, 3), np.uint8)
    np.savez_compressed(tmp_path / "big.npz", frames=frames, actions=np.zeros(400, int))
    read, sizes = np.lib.format.read_array, []

    def watched(*arguments, **options):
        array = read(*arguments, **options)
        sizes.append(array.size)
        return array

    monkeypatch.setattr(
        np.lib.npyio.NpzFile.__getitem__.__globals__["format"], "read_array", watched
    )
    source = open_source(tmp_path)
    assert source.lengths == [400] and source.size == (64, 64) and max(sizes) == 400
    assert np.array_equal(source.read(0).frames, frames) and max(sizes) == frames.size
