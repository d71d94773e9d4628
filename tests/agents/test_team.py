"""Several processes learn what one process with all the lanes would have learned."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.callbacks import LAST
from agents.team import TeamPPO
from nfd_gym.agent import read_facts
from nfd_gym.train.distributed import Team
from tests.agents.share_gradients import LIMITS, main

SCRIPT = Path(__file__).with_name("share_gradients.py")
ROOT = SCRIPT.parents[2]
SETTINGS = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def test_a_kl_limit_is_refused_for_teams() -> None:
    with pytest.raises(ValueError, match="leave it out under torchrun"):
        TeamPPO("CnnPolicy", None, team=Team(0, 2), target_kl=0.1)


@pytest.mark.slow
def test_two_ranks_with_half_the_lanes_make_the_update_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(tmp_path)  # all lanes in this process
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    meeting["GLOO_SOCKET_IFNAME"] = "lo"
    other = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(SCRIPT), str(tmp_path)],
        cwd=ROOT, env={**SETTINGS, **meeting, "RANK": "1"},
    )  # fmt: skip
    try:
        for name, value in {**meeting, "RANK": "0"}.items():
            monkeypatch.setenv(name, value)
        main(tmp_path)  # this process is rank 0 of two
        assert other.wait(timeout=300) == 0
    finally:
        other.kill()
    for limit in LIMITS:
        learned = []
        for ranks in (1, 2):
            with np.load(tmp_path / f"{ranks}-{limit}.npz", allow_pickle=False) as data:
                learned.append({key: data[key] for key in data.files})
        for key, part in learned[0].items():
            np.testing.assert_allclose(learned[1][key], part, atol=2e-5, err_msg=key)


@pytest.mark.slow
def test_the_training_script_runs_on_two_ranks_and_keeps_them_equal(
    points_world_path: Path, tmp_path: Path
) -> None:
    words = [
        "--env", "NFD-v0", "--world", str(points_world_path), "--lanes", "2", "--horizon", "4",
        "--repeat", "2", "--view", "36", "36", "--stack", "1", "--n-steps", "4", "--steps", "64",
        "--engine", "eager", "--no-board", "--out", str(tmp_path),
    ]  # fmt: skip
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *torchrun, "-m", "agents.train_ppo", *words],
        cwd=ROOT, env=SETTINGS, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "replicas equal: True" in done.stdout
    facts = read_facts(tmp_path / LAST)
    assert facts["ticks"] == 64 and facts["ranks"] == 2
    assert facts["timesteps"] == 16  # per rank: 2 lanes of 8 decisions, each of 2 ticks, on 2 ranks
    assert json.dumps(facts["setup"])
