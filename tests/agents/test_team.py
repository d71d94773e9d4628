"""Several processes learn what one process with all the lanes would have learned."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.callbacks import LAST
from agents.team import TeamPPO
from nfd_gym.play.agent import read_facts
from nfd_gym.train.distributed import Team

SCRIPT = Path(__file__).with_name("share_gradients.py")
ROOT = SCRIPT.parents[2]


def run(ranks: int, *words: str) -> str:
    """Under torchrun if there are several ranks; returns what was printed."""
    python = [sys.executable, "-W", "ignore"]
    if ranks > 1:
        python += ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*python, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_kl_limit_is_refused_for_teams() -> None:
    with pytest.raises(ValueError, match="leave it out under torchrun"):
        TeamPPO("CnnPolicy", None, team=Team(0, 2), target_kl=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("max_grad_norm", ["0.5", "1000"])
def test_two_ranks_with_half_the_lanes_make_the_update_of_one(
    max_grad_norm: str, tmp_path: Path
) -> None:
    learned = []
    for ranks in (1, 2):
        out = tmp_path / f"{ranks}.npz"
        run(ranks, str(SCRIPT), str(out), max_grad_norm)
        with np.load(out, allow_pickle=False) as data:
            learned.append({key: data[key] for key in data.files})
    for key, part in learned[0].items():
        np.testing.assert_allclose(learned[1][key], part, atol=2e-5, err_msg=key)


@pytest.mark.slow
def test_the_training_script_runs_on_two_ranks_and_keeps_them_equal(
    tiny_world_path: Path, tmp_path: Path
) -> None:
    words = [
        "-m", "agents.train_ppo", "--env", "NFD-v0", "--world", str(tiny_world_path),
        "--lanes", "2",
        "--horizon", "4", "--repeat", "2", "--view", "36", "36", "--stack", "1", "--n-steps", "4",
        "--steps", "64", "--engine", "eager", "--no-board", "--out", str(tmp_path),
    ]  # fmt: skip
    assert "replicas equal: True" in run(2, *words)
    facts = read_facts(tmp_path / LAST)
    assert facts["ticks"] == 64 and facts["ranks"] == 2
    assert facts["timesteps"] == 16  # per rank: 2 lanes of 8 decisions, each of 2 ticks, on 2 ranks
    assert json.dumps(facts["setup"])
