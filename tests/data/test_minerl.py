import numpy as np
import pytest

from nfd_gym.data.clip import DataError
from nfd_gym.data.sources import open_source


@pytest.fixture
def episode(tmp_path, encode_mp4):
    """As MineRL-v0 lays it out: one observation more than actions, a few frames too many."""
    folder = tmp_path / "set" / "v3_player-1"
    folder.mkdir(parents=True)
    frames = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    encode_mp4(folder / "recording.mp4", frames)
    np.savez(
        folder / "rendered.npz",
        **{
            "action$forward": np.array([1, 0, 1, 1, 0]),
            "action$camera": np.array([[0, 5.625], [0, 0], [-1.5, 0], [0, 0], [0, 0]], np.float32),
            "action$craft": np.array(["none"] * 5),
            "observation$compassAngle": np.zeros(6),
            "reward": np.array([0, 0, 1, 0, 0.0]),
        },
    )
    (folder / "metadata.json").write_text("{}")
    return folder, frames


def test_an_episode_is_aligned(episode):
    source = open_source(episode[0].parent)
    clip = source.read(0)
    assert source.lengths == [6] and np.array_equal(clip.frames, episode[1][:6])
    assert [source.codec.keys(a) for a in clip.actions] == [
        (), ("forward",), (), ("forward",), ("forward",), (),
    ]  # fmt: skip
    assert source.codec.rotation(clip.actions)[1][1] == pytest.approx(5.625, rel=1e-6)
    assert clip.rewards.tolist() == [0, 0, 0, 1, 0, 0]


def test_the_folder_itself_can_be_opened(episode):
    assert open_source(episode[0]).names == ["v3_player-1"]


def test_damaged_actions(episode):
    (episode[0] / "rendered.npz").write_bytes(b"no")
    with pytest.raises(DataError, match=r"rendered\.npz: cannot be read"):
        open_source(episode[0])
