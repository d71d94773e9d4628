import json

import numpy as np
import pytest

from nfd_gym.actions import KeysAndMouse
from nfd_gym.data.clip import DataError
from nfd_gym.data.sources import open_source


def save(path, frames=None, **arrays):
    if frames is None:
        frames = np.arange(5 * 4 * 6 * 3, dtype=np.uint8).reshape(5, 4, 6, 3)
    np.savez_compressed(path, frames=frames, **arrays)
    return frames


def test_chosen_actions_are_aligned(tmp_path):
    frames = save(tmp_path / "a.npz", actions=np.array([1, 2, 0, 1]), rewards=np.arange(1.0, 5.0))
    source = open_source(tmp_path)
    clip = source.read(0)
    assert source.codec.kind == "discrete" and source.codec.width == 3
    assert clip.actions.argmax(axis=1).tolist() == [0, 1, 2, 0, 1]
    assert clip.rewards.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(clip.frames, frames)


def test_aligned_actions_are_left_alone(tmp_path):
    save(tmp_path / "a.npz", actions=np.array([0, 1, 2, 0, 1]), aligned=1)
    assert open_source(tmp_path).read(0).actions.argmax(axis=1).tolist() == [0, 1, 2, 0, 1]


def test_real_actions_span_all_files(tmp_path):
    save(tmp_path / "a.npz", actions=np.array([[0.0, 5], [1, 5], [2, 5], [3, 5]]))
    save(tmp_path / "b.npz", actions=np.array([[-4.0, 5], [1, 5], [2, 5], [3, 5]]))
    source = open_source(tmp_path)
    assert source.codec.low.tolist() == [-4, 5] and source.codec.high.tolist() == [3, 6]
    decoded = [source.codec.decode(action)[0] for action in source.read(1).actions]
    assert decoded == pytest.approx([0, -4, 1, 2, 3], abs=1e-5)


def test_vectors_with_their_codec(tmp_path):
    codec = KeysAndMouse()
    vectors = np.stack([codec.vector(["forward"], yaw=float(n)) for n in range(5)])
    save(tmp_path / "a.npz", actions=vectors, codec=json.dumps(codec.to_json()), fps=10, aligned=1)
    source = open_source(tmp_path / "a.npz")
    assert source.fps == 10 and np.array_equal(source.read(0).actions, vectors)


def test_a_window_of_a_shard(tmp_path):
    frames = save(tmp_path / "a.npz", actions=np.zeros(4, int))
    assert np.array_equal(open_source(tmp_path).read(0, 2, 4).frames, frames[2:4])


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({}, "needs frames and actions"),
        ({"actions": np.zeros(2)}, "5 frames but actions"),
        ({"actions": np.array([0.0, np.nan, 1, 1])}, r"a\.npz:1: the action"),
        ({"actions": np.array(["a"] * 4)}, "not a finite number"),
        ({"actions": np.zeros(4), "frames": np.zeros((5, 4, 6))}, "must be uint8"),
        ({"actions": np.zeros(4), "frames": np.zeros((0, 4, 6, 3), np.uint8)}, "must be uint8"),
    ],
)
def test_bad_shards_are_named(tmp_path, arrays, sentence):
    save(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=sentence):
        open_source(tmp_path)


def test_pickled_objects_are_never_loaded(tmp_path):
    """np.load of a pickle runs its code; ours refuses it."""

    class Bomb:
        def __reduce__(self):
            return (print, ("executed!",))

    objects = np.empty(1, object)
    objects[0] = Bomb()
    np.savez(tmp_path / "a.npz", frames=objects, actions=np.zeros(4))
    with pytest.raises(DataError, match="damaged or holds pickled objects"):
        open_source(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK not really", b"garbage"])
def test_damaged_files(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npz: cannot be read as npz"):
        open_source(tmp_path)


def test_shards_must_fit_each_other(tmp_path):
    save(tmp_path / "a.npz", actions=np.zeros((4, 2)))
    save(tmp_path / "b.npz", np.zeros((5, 8, 8, 3), np.uint8), actions=np.zeros((4, 2)))
    with pytest.raises(DataError, match="another size"):
        open_source(tmp_path)
