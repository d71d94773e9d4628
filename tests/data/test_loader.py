from collections import Counter

import numpy as np
import pytest

from nfd_gym.data import DataError, Loader, open_source


@pytest.fixture(scope="module")
def source(long_pair):
    return open_source(long_pair)


def same(a, b):
    return all(
        np.array_equal(getattr(a, field), getattr(b, field))
        for field in ("frames", "actions", "pitch", "rewards", "clips", "starts")
    ) and all(np.array_equal(a.event_flags[key], b.event_flags[key]) for key in a.event_flags)


def test_shapes_and_kinds(source):
    batch = Loader(source, window=5, batch=3, seed=0).batch(0)
    assert batch.frames.shape == (3, 5, 32, 48, 3) and batch.frames.dtype == np.uint8
    assert batch.actions.shape == (3, 5, 25) and batch.actions.dtype == np.float32
    assert batch.pitch.shape == batch.rewards.shape == (3, 5)
    assert {key: mask.shape for key, mask in batch.event_flags.items()} == {
        "dig": (3, 5), "place": (3, 5), "chop": (3, 5),
    }  # fmt: skip


def test_a_batch_is_a_pure_function_of_seed_and_number(source):
    loader = Loader(source, window=4, batch=2, seed=3)
    late = loader.batch(50)
    loader.batch(0)
    assert same(late, Loader(source, window=4, batch=2, seed=3).batch(50))
    assert not same(late, Loader(source, window=4, batch=2, seed=4).batch(50))


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_number_of_workers_changes_nothing(source, workers):
    loader = Loader(source, window=4, batch=2, seed=0, workers=workers)
    iterator = iter(loader)
    for index in range(6):
        assert same(next(iterator), loader.batch(index))
    iterator.close()


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_together_see_what_one_larger_rank_sees(source, ranks):
    whole = Loader(source, window=4, batch=2 * ranks, seed=1)
    parts = [
        Loader(source, window=4, batch=2, seed=1, rank=rank, ranks=ranks) for rank in range(ranks)
    ]
    for index in range(3):
        together = np.concatenate([part.batch(index).frames for part in parts])
        assert np.array_equal(together, whole.batch(index).frames)


def test_a_run_resumes_without_replaying(source):
    fresh = iter(Loader(source, window=4, batch=2, seed=0))
    for _ in range(4):
        next(fresh)
    resumed = iter(Loader(source, window=4, batch=2, seed=0, first=4))
    assert same(next(fresh), next(resumed))
    fresh.close(), resumed.close()


def test_windows_are_stretches_of_clips(source):
    batch = Loader(source, window=6, batch=8, seed=2).batch(0)
    for lane in range(8):
        clip = source.read(int(batch.clips[lane]))
        start = int(batch.starts[lane])
        assert np.array_equal(batch.frames[lane], clip.frames[start : start + 6])
        assert np.array_equal(batch.actions[lane], clip.actions[start : start + 6])


def test_windows_start_anywhere_and_evenly(source):
    """Every possible start of every clip is drawn, none preferred; the last window fits exactly."""
    loader = Loader(source, window=40, batch=1, seed=0)
    starts = Counter(loader.place(sample) for sample in range(6700))
    possible = {(0, s) for s in range(51)} | {(1, s) for s in range(16)}
    assert set(starts) == possible
    assert max(starts.values()) < 2 * 100 and min(starts.values()) > 100 / 2


def test_a_clip_as_long_as_the_window_is_used(source):
    loader = Loader(source, window=90, batch=1, seed=0)
    assert {loader.place(sample) for sample in range(20)} == {(0, 0)}


def test_too_long_windows_are_refused(source):
    with pytest.raises(DataError, match="no clip is 91 frames long, the longest has 90"):
        Loader(source, window=91, batch=1, seed=0)


@pytest.mark.parametrize(
    "wrong", [{"window": 0}, {"batch": 0}, {"workers": 0}, {"rank": 2, "ranks": 2}]
)
def test_impossible_loaders_are_refused(source, wrong):
    with pytest.raises(ValueError, match="at least 1"):
        Loader(source, **{"window": 4, "batch": 2, "seed": 0, **wrong})


def test_an_error_in_a_worker_reaches_the_caller(pairs, make_row):
    folder = pairs.add([make_row() for _ in range(12)])
    source = open_source(folder)
    (folder / "clip.mp4").write_bytes(b"gone bad")
    with pytest.raises(DataError, match=r"clip\.mp4"):
        next(iter(Loader(source, window=4, batch=2, seed=0)))


def test_events_arrive_in_their_frame(pairs, make_row):
    rows = [make_row(events=[]) for _ in range(30)]
    rows[9] = make_row(events=[{"type": "dig", "node": "default:tree"}])
    source = open_source(pairs.add(rows))
    loader = Loader(source, window=5, batch=16, seed=0)
    batch = loader.batch(0)
    for lane, start in enumerate(batch.starts):
        expected = [start + frame == 10 for frame in range(5)]
        assert batch.event_flags["chop"][lane].tolist() == expected
        assert batch.event_flags["dig"][lane].tolist() == expected
    assert batch.event_flags["chop"].any()
