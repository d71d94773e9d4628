"""Start clips are cut from recordings, each from another one."""

from pathlib import Path

from nfd_gym.data import open_source
from nfd_gym.train.starts import write_starts


def test_start_clips_are_cut_by_split_and_kept(texture_store: Path, tmp_path: Path) -> None:
    source = open_source(texture_store)
    splits = write_starts(tmp_path, [source, source], 3, 8)
    assert {key: len(names) for key, names in splits.items()} == {"train": 3, "test": 1}
    made = open_source(tmp_path)
    assert sorted(made.names) == sorted(splits["train"] + splits["test"])
    assert set(made.lengths) == {8} and made.codec.to_json() == source.codec.to_json()
    before = [file.stat().st_mtime_ns for file in sorted(tmp_path.glob("*.mp4"))]
    write_starts(tmp_path, [source, source], 3, 8)
    assert before == [file.stat().st_mtime_ns for file in sorted(tmp_path.glob("*.mp4"))]
