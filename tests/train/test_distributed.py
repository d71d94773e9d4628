"""Two processes train as one does: same losses, same weights, shared out or not."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nfd_gym.train import checkpoint, distributed
from nfd_gym.train.distributed import Team


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow  # each rank imports torch and joins four times: 20 s of processor time
def test_two_ranks_are_one_with_twice_the_batch(
    train: Any, texture_store: Path, tmp_path: Path
) -> None:
    """Rank r of step s draws what micro-batch r of one process with accumulate=2 draws.

    Both ways of sharing the work; each is resumed after two steps from an ordinary checkpoint.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(__file__).with_name("pair.py")
    places = [str(texture_store), str(tmp_path)]
    root = str(Path(distributed.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    pair = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(port), *places], env=environment
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=300) for process in pair] == [0, 0]
    finally:
        for process in pair:
            process.kill()
    alone = train("alone", steps=3, accumulate=2, batch=1)
    single = train("single", steps=3, batch=1)
    expected, _ = checkpoint.load(alone / "checkpoint.safetensors")
    for name in ("averaged", "shared"):
        run = tmp_path / name
        np.testing.assert_allclose(losses(run), losses(alone), rtol=1e-4)
        tensors, _ = checkpoint.load(run / "checkpoint.safetensors")
        assert tensors.keys() == expected.keys()
        for key, value in tensors.items():
            torch.testing.assert_close(value, expected[key], atol=1e-4, rtol=1e-3, msg=key)
    assert not np.allclose(losses(single), losses(alone), rtol=1e-3), "half the batch is another"


def test_alone_nothing_is_shared() -> None:
    team = Team()
    assert team.leads and distributed.join() == team
    assert distributed.mean(2.5, team) == 2.5 and distributed.agree(True, team)
    tensor = torch.zeros(2)
    assert distributed.gather(tensor) is tensor and distributed.place(tensor, tensor) is tensor
    with pytest.raises(ValueError, match=r"over several ranks; start it with `torchrun"):
        distributed.shard(torch.nn.Linear(2, 2), team)
