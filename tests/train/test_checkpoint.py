"""Checkpoints are whole or not there, and nothing foreign is taken for one."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nfd_gym.train import checkpoint
from nfd_gym.train.optim import make_optimisers


def write(path: Path) -> dict[str, torch.Tensor]:
    tensors = {"model.a": torch.arange(6.0).view(2, 3), "model.b": torch.tensor(3)}
    checkpoint.save(path, tensors, {"step": 7, "groups": [{"lr": 0.1}]})
    return tensors


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    written = write(path)
    tensors, meta = checkpoint.load(path)
    assert meta == {"step": 7, "groups": [{"lr": 0.1}]} and tensors.keys() == written.keys()
    assert all(torch.equal(tensors[key], written[key]) for key in written)
    assert checkpoint.select(tensors, "model").keys() == {"a", "b"}


def test_a_kill_while_writing_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write(path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(path, {"model.a": torch.zeros(1)}, {"step": 8})
    assert checkpoint.load(path)[1]["step"] == 7


@pytest.mark.parametrize("keep", [0, 4, 60, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep > 1 else keep * len(content))])
    with pytest.raises(ValueError, match=rf"cannot read checkpoint {path}.*restore a copy"):
        checkpoint.load(path)


def test_foreign_and_missing_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"is no nfd_gym checkpoint .*name a run of `train`"):
        checkpoint.load(path)
    with pytest.raises(ValueError, match=r"there is no checkpoint at .*train"):
        checkpoint.load(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("muon", [False, True])
def test_an_optimiser_continues_where_it_stopped(muon: bool) -> None:
    def setup() -> tuple[nn.Module, list[torch.optim.Optimizer]]:
        torch.manual_seed(0)
        net = nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(4, 3), nn.Linear(4, 3)])})
        return net, make_optimisers(net, 0.1, muon)

    def step(net: nn.Module, optimisers: list[torch.optim.Optimizer], seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        for parameter in net.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=random)
        for optimiser in optimisers:
            optimiser.step()

    net, optimisers = setup()
    assert len(optimisers) == 1 + muon
    for seed in range(3):
        step(net, optimisers, seed)
    again, fresh = setup()
    again.load_state_dict(net.state_dict())
    for optimiser, other in zip(optimisers, fresh, strict=True):
        tensors, groups = checkpoint.pack_optimiser(optimiser, "o")
        tensors = {key: value.clone() for key, value in tensors.items()}  # a file is no alias
        checkpoint.unpack_optimiser(other, tensors, groups, "o")
    step(net, optimisers, 3)
    step(again, fresh, 3)
    for a, b in zip(net.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
