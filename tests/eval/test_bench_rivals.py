"""The table of rivals: every way of sampling has a row, and all figures are taken."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nfd_gym.actions import Continuous
from nfd_gym.baselines.autoregressive import Autoregressive, AutoregressiveConfig
from nfd_gym.data.clip import Clip
from nfd_gym.data.store import ClipWriter
from nfd_gym.eval import bench_rivals
from nfd_gym.model.denoiser import Denoiser, DenoiserConfig
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig
from nfd_gym.world import World, WorldSettings, load_world, save_world

SIZES = {
    "tokens_h": 2, "tokens_w": 2, "channels": 8, "control_width": 2, "width": 16, "depth": 2,
    "heads": 2, "window": 1, "causal_every": 1,
}  # fmt: skip


@pytest.fixture
def worlds(tmp_path: Path) -> list[str]:
    torch.manual_seed(0)
    code = Tokenizer(TokenizerConfig(height=16, width=16, patch=8, channels=8)).eval()
    rival = Autoregressive(AutoregressiveConfig(**SIZES, words=12))
    torch.nn.init.normal_(rival.table)
    plain = WorldSettings(sigmas=(1.0, 0.5), method="euler", context="exact", hold=0.0)
    nets = {
        "words": (rival, WorldSettings(context="exact", hold=0.0)),
        "plain": (Denoiser(DenoiserConfig(**SIZES, condition=False)), plain),
    }
    for name, (net, how) in nets.items():
        world = World(
            name=name, codec=Continuous(2), tokenizer=code, denoiser=net.eval(), settings=how,
        )  # fmt: skip
        save_world(world, tmp_path / name)
    return [str(tmp_path / name) for name in nets]


@pytest.mark.slow
def test_every_way_of_sampling_has_a_row(worlds: list[str], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    store = ClipWriter(tmp_path / "data", Continuous(2), fps=10.0, size=(16, 16), crf=0)
    for number in range(3):
        frames = random.integers(0, 256, (70, 16, 16, 3), np.uint8)
        actions = random.uniform(-1, 1, (70, 2)).astype(np.float32)
        store.write(Clip(frames, actions, name=f"clip-{number}", fps=10.0))
    parser = argparse.ArgumentParser()
    bench_rivals.add_arguments(parser)
    out = tmp_path / "out.json"
    told = [
        "--worlds",
        *worlds,
        "--data",
        str(tmp_path / "data"),
        "--runs",
        "2",
        "--json",
        str(out),
    ]
    assert bench_rivals.main(parser.parse_args(told)) == 0
    table = json.loads(out.read_text())["figures"]["table"]
    assert table["columns"] == bench_rivals.COLUMNS
    names = [row[1] for row in table["rows"]]
    assert [name.partition(", top")[0] for name in names[:5]] == [
        "raster", "raster", "diagonal, lag 2", "diagonal, lag 1", "parallel",
    ]  # fmt: skip
    assert names[5:9] == [f"euler, {n} steps" for n in (18, 4, 2, 1)]
    early = names[9]
    assert early.startswith("4 steps, speculation") and names[10:] == [
        "repeated",
        "other stretches",
    ]
    assert [row[4] for row in table["rows"][:9]] == [5, 5, 5, 4, 2, 19, 5, 3, 2]
    assert table["rows"][9][4] >= 5, "frames that were drawn early in vain are counted"
    assert all(isinstance(cell, float) for row in table["rows"][:9] for cell in row[5:11])
    assert all(isinstance(cell, float) for cell in table["rows"][9][7:11])
    assert all(isinstance(cell, float) for cell in table["rows"][-2][6:11])


def test_a_word_world_is_saved_and_loaded_whole(worlds: list[str]) -> None:
    world = load_world(worlds[0])
    net = world.denoiser
    assert isinstance(net, Autoregressive) and world.describe()["network"] == "autoregressive"
    told = torch.randint(12, (1, 1, 4), generator=torch.Generator().manual_seed(0))
    assert torch.equal(net.words(net.table[told]), told)
    assert "network" not in load_world(worlds[1]).describe()
