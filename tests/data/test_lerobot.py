"""A LeRobot v3.0 dataset of two episodes in one mp4 and one parquet file, laid out by hand."""

import json

import numpy as np
import pytest

from nfd_gym.actions import Continuous
from nfd_gym.data.clip import DataError
from nfd_gym.data.sources import lerobot, open_source
from tests.data.lerobot import lay_out

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

CAMERA = "observation.images.top"
LENGTHS = (6, 9)
ACTIONS = np.arange(30, dtype=np.float32).reshape(15, 2)


@pytest.fixture
def dataset(tmp_path, encode_mp4):
    root = tmp_path / "pusht"
    frames = np.random.default_rng(0).integers(0, 256, (15, 16, 24, 3), dtype=np.uint8)
    stats = {"min": [0.0, 1.0], "max": [28.0, 29.0]}
    lay_out(root, encode_mp4, CAMERA, frames, ACTIONS, LENGTHS, stats, np.arange(15.0))
    return root, frames


def write(path, columns):
    parquet.write_table(pyarrow.table(columns), path)


def test_episodes_are_cut_out_of_shared_files(dataset):
    root, frames = dataset
    source = open_source(root)
    assert source.lengths == [6, 9] and source.size == (16, 24) and source.fps == 10
    assert np.array_equal(source.read(0).frames, frames[:6])
    assert np.array_equal(source.read(1).frames, frames[6:])
    assert np.array_equal(source.read(1, 2, 5).frames, frames[8:11])


def test_actions_are_aligned_within_their_episode(dataset):
    source = open_source(dataset[0])
    clip = source.read(1)
    decoded = np.stack([source.codec.decode(action) for action in clip.actions])
    assert np.allclose(
        decoded[1:], ACTIONS[6:14]
    )  # the first made frame 1; the last was not filmed
    assert np.array_equal(source.read(1, 4, 6).actions, clip.actions[4:6])
    assert clip.rewards.tolist() == [0, *range(6, 14)]


def test_the_range_of_actions_comes_from_the_statistics(dataset):
    codec = open_source(dataset[0]).codec
    assert codec.low.tolist() == [0, 1] and codec.high.tolist() == [28, 29]


def break_json(root, name, change):
    path = root / name
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("meta/info.json", lambda d: d.update(codebase_version="v2.1"), "lerobot's own converter"),
        ("meta/info.json", lambda d: d.pop("fps"), "the key 'fps' is missing"),
        ("meta/info.json", lambda d: d["features"].pop(CAMERA), "no camera"),
        ("meta/info.json", lambda d: d.update(video_path="/etc/passwd"), "outside the dataset"),
        ("meta/info.json", lambda d: d.update(video_path="{nope}"), "bad path"),
        ("meta/stats.json", lambda d: d.pop("action"), "no min and max"),
    ],
)
def test_broken_metadata_is_named(dataset, name, change, sentence):
    break_json(dataset[0], name, change)
    with pytest.raises(DataError, match=sentence):
        open_source(dataset[0])


def test_a_video_that_is_too_short(dataset, encode_mp4):
    root, frames = dataset
    encode_mp4(root / f"videos/{CAMERA}/chunk-000/file-000.mp4", frames[:10], fps=10)
    source = open_source(root)
    assert len(source.read(0)) == 6
    with pytest.raises(DataError, match=r"10 frames, but episode_000001 needs 6\.\.14"):
        source.read(1)


def test_rows_that_do_not_fit(dataset):
    root, _ = dataset
    path = root / "data/chunk-000/file-000.parquet"
    columns = {"action": ACTIONS[:4].tolist(), "next.reward": [0.0] * 4, "episode_index": [0] * 4}
    write(path, columns)
    with pytest.raises(DataError, match="4 rows of episode 0, meta/episodes says 6"):
        open_source(root).read(0)
    path.write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match=r"file-000\.parquet: cannot be read"):
        open_source(root).read(0)


def test_a_nan_action_is_named_by_its_row(dataset):
    root, _ = dataset
    actions = ACTIONS.copy()
    actions[7, 1] = np.nan
    columns = {
        "action": actions.tolist(),
        "next.reward": [0.0] * 15,
        "episode_index": np.repeat([0, 1], LENGTHS).tolist(),
    }
    write(root / "data/chunk-000/file-000.parquet", columns)
    with pytest.raises(DataError, match=r"file-000\.parquet:7: the action"):
        open_source(root).read(1)


def test_a_parquet_file_is_read_once(dataset, monkeypatch):
    """It was read whole for every episode, which is quadratic."""
    reads, read = [], lerobot._parquet
    source = open_source(dataset[0])

    def watched(path, columns):
        reads.append(path)
        return read(path, columns)

    monkeypatch.setattr(lerobot, "_parquet", watched)
    for index in (0, 1, 0):
        source.read(index)
    assert len(reads) == 1


def test_the_codec_of_a_world_replaces_the_measured_range(dataset):
    """0.4 in one dataset is 0.4 in another, whatever their statistics say."""
    codec = Continuous(2, -100, 100)
    clip = open_source(dataset[0], codec=codec).read(1)
    assert np.allclose(clip.actions[1:], ACTIONS[6:14] / 100)
    with pytest.raises(DataError, match=r"'n': 2.*'n': 3"):
        open_source(dataset[0], codec=Continuous(3))
