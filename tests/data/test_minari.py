"""Minari 0.5's two layouts, written by hand as minari 0.5.4 writes them."""

import io
import json

import numpy as np
import pytest

from nfd_gym.data.clip import DataError
from nfd_gym.data.sources import open_source

pyarrow = pytest.importorskip("pyarrow")
h5py = pytest.importorskip("h5py")

H, W = 32, 40


def frames(count=5):
    """Flat grey pictures: JPEG keeps them."""
    return np.stack([np.full((H, W, 3), 30 * n, np.uint8) for n in range(count)])


def jpeg(picture):
    import av

    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = W, H, "yuvj420p"
    from fractions import Fraction

    encoder.time_base = Fraction(1, 20)
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuvj420p")
    data = io.BytesIO()
    for packet in [*encoder.encode(frame), *encoder.encode(None)]:
        data.write(bytes(packet))
    return data.getvalue()


def box(shape, dtype, low, high):
    return {"type": "Box", "dtype": dtype, "shape": list(shape), "low": low, "high": high}


PICTURE = box((H, W, 3), "uint8", 0, 255)
PAIR = box((2,), "float32", [-1.0, -1.0], [1.0, 1.0])


def metadata(folder, kind, *, observation=PICTURE, action=PAIR, episodes=1, jpeg_encoding=False):
    (folder / "data").mkdir(parents=True)
    text = {
        "total_episodes": episodes,
        "total_steps": 4 * episodes,
        "data_format": kind,
        "jpeg_encoding": jpeg_encoding,
        "observation_space": json.dumps(observation),
        "action_space": json.dumps(action),
        "dataset_id": "test/x-v0",
        "minari_version": "0.5.4",
    }
    (folder / "data" / "metadata.json").write_text(json.dumps(text))


ACTIONS = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.7, 0.8]], np.float32)
REWARDS = np.array([1.0, 2.0, 3.0, 4.0])


def arrow(folder, *, key=None, encoded=False, **meta):
    """Each episode is one arrow file; actions and rewards are padded to the observations."""
    observation = {"type": "Dict", "subspaces": {"pos": PAIR, key: PICTURE}} if key else PICTURE
    metadata(folder, "arrow", observation=observation, jpeg_encoding=encoded, **meta)
    flat = [jpeg(f) for f in frames()] if encoded else [f.ravel().tolist() for f in frames()]
    kind = pyarrow.binary() if encoded else pyarrow.list_(pyarrow.uint8(), H * W * 3)
    pictures = pyarrow.array(flat, type=kind)
    if key:
        other = pyarrow.array([[0.0, 0.0]] * 5, type=pyarrow.list_(pyarrow.float32(), 2))
        pictures = pyarrow.StructArray.from_arrays([other, pictures], names=["pos", key])
    padded = np.vstack([ACTIONS, np.zeros((1, 2), np.float32)])
    batch = pyarrow.RecordBatch.from_pydict(
        {
            "observations": pictures,
            "actions": pyarrow.array(padded.tolist(), type=pyarrow.list_(pyarrow.float32(), 2)),
            "rewards": pyarrow.array([*REWARDS, 0.0]),
        }
    )
    episode = folder / "data" / "0"
    episode.mkdir()
    (episode / "metadata.json").write_text('{"id": 0, "total_steps": 4}')
    with pyarrow.OSFile(str(episode / "part-0.arrow"), "wb") as sink:
        with pyarrow.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
    return folder


def hdf5(folder, *, encoded=False):
    metadata(folder, "hdf5", jpeg_encoding=encoded)
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        group = file.create_group("episode_0")
        group.attrs["total_steps"] = 4
        if encoded:
            kind = h5py.vlen_dtype(np.uint8)
            data = group.create_dataset("observations", (5,), dtype=kind)
            for index, picture in enumerate(frames()):
                data[index] = np.frombuffer(jpeg(picture), np.uint8)
        else:
            group["observations"] = frames()
        group["actions"], group["rewards"] = ACTIONS, REWARDS
    return folder


@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("layout", [arrow, hdf5])
def test_an_episode_is_read_and_aligned(tmp_path, layout, encoded):
    source = open_source(layout(tmp_path / "set", encoded=encoded))
    clip = source.read(0)
    assert source.lengths == [5] and source.size == (H, W) and source.codec.kind == "continuous"
    assert clip.actions[0].tolist() == [0, 0] and np.allclose(clip.actions[1:], ACTIONS)
    assert clip.rewards.tolist() == [0, 1, 2, 3, 4]
    assert np.abs(clip.frames.astype(int) - frames()).max() <= (3 if encoded else 0)


@pytest.mark.parametrize("key", ["pixels", "rgb", "zoom"])
def test_the_picture_is_found_inside_a_dict(tmp_path, key):
    clip = open_source(arrow(tmp_path / "set", key=key)).read(0, 1, 3)
    assert np.array_equal(clip.frames, frames()[1:3])


def test_discrete_actions(tmp_path):
    folder = tmp_path / "set"
    metadata(folder, "hdf5", action={"type": "Discrete", "dtype": "int64", "start": 0, "n": 3})
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        group = file.create_group("episode_0")
        group.attrs["total_steps"] = 4
        group["observations"], group["actions"] = frames(), np.array([2, 0, 1, 2])
        group["rewards"] = REWARDS
    clip = open_source(folder).read(0)
    assert clip.actions.argmax(axis=1).tolist() == [0, 2, 0, 1, 2]


def test_a_dataset_without_pictures_says_what_to_do(tmp_path):
    metadata(tmp_path / "set", "hdf5", observation=PAIR)
    with pytest.raises(DataError, match="AddRenderObservation"):
        open_source(tmp_path / "set")


def test_damaged_metadata_and_files(tmp_path):
    folder = hdf5(tmp_path / "set")
    (folder / "data" / "main_data.hdf5").write_bytes(b"\x89HDF no")
    with pytest.raises(DataError, match=r"main_data\.hdf5: cannot be read"):
        open_source(folder)
    (folder / "data" / "metadata.json").write_text("{")
    with pytest.raises(DataError, match="not the metadata of a Minari dataset"):
        open_source(folder)


def test_a_damaged_arrow_file(tmp_path):
    folder = arrow(tmp_path / "set")
    (folder / "data" / "0" / "part-0.arrow").write_bytes(b"ARROW1 no")
    with pytest.raises(DataError, match=r"part-0\.arrow: cannot be read"):
        open_source(folder).read(0)
