"""LeRobot's recordings of PushT become recordings that the recipe and the evaluation take."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gym_pusht")
pytest.importorskip("pyarrow")

from nfd_gym import cli
from nfd_gym.data import open_source
from nfd_gym.games.pusht.env import PushTEnv
from nfd_gym.games.pusht.spec import SPEC
from nfd_gym.train.recipes.pusht import PUSHT
from nfd_gym.train.stages import frames
from tests.data.lerobot import lay_out

LENGTHS = (9, 14)


@pytest.fixture
def dataset(tmp_path: Path, encode_mp4) -> tuple[Path, np.ndarray, np.ndarray]:
    """Two episodes of the real game: actions in pixels of the table, whose ranges are those that
    were recorded."""
    root, env, random = tmp_path / "pusht", PushTEnv(), np.random.default_rng(0)
    shown, states, actions = [], [], []
    for seed, length in enumerate(LENGTHS):
        frame, info = env.reset(seed=seed)
        for _ in range(length):
            place = (info["state"][:2] + random.uniform(-60, 60, 2)).clip(20, 490)
            shown.append(frame), states.append(info["state"]), actions.append(place)
            frame, _, _, _, info = env.step(place.astype(np.float32))
    actions = np.array(actions, np.float32)
    measured = {"min": actions.min(0).tolist(), "max": actions.max(0).tolist()}
    lay_out(root, encode_mp4, "observation.image", np.stack(shown), actions, LENGTHS, measured)
    return root, np.array(states), actions


def test_lerobots_pusht_comes_in_as_the_game(
    dataset: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, states, actions = dataset
    out = tmp_path / "store"
    words = ["import", str(root), "--out", str(out), "--preset", "lossless"]
    assert cli.main([*words, "--game", "PushT-v0"]) == 0
    source = open_source(out)
    assert source.codec.to_json() == SPEC.codec.to_json() and source.lengths == list(LENGTHS)
    clip = source.read(1)
    told = np.stack([source.codec.decode(vector) for vector in clip.actions[1:]])
    assert np.allclose(told, actions[LENGTHS[0] : -1], atol=0.01)
    off = np.abs(clip.state["state"][:, :4] - states[LENGTHS[0] :, :4])
    assert off.max() < 3 and np.median(off) < 1, "read from the pictures, in pixels of 512"
    frames.decode(source, tmp_path / "frames", pose=PUSHT.pose)  # the recipe's own reading
    poses = np.load(tmp_path / "frames" / "poses.npy")
    assert poses.shape == (sum(LENGTHS), 5) and np.abs(poses[:, :4]).max() <= 1
    assert cli.main([*words[:-2], "--game", "Chess-v0"]) != 0
    assert "games that are known are PushT-v0, gym_pusht/PushT-v0" in capsys.readouterr().err
