"""`python -m nfd_gym eval` from a world folder and recordings to figures and films."""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from nfd_gym.data import open_source
from nfd_gym.eval import measure as measuring
from nfd_gym.eval import quick, report
from nfd_gym.eval.idm import InverseDynamics
from nfd_gym.eval.measure import Amount
from nfd_gym.eval.table import COLUMNS, control_rows
from nfd_gym.world import WorldModel

pytest.importorskip("matplotlib")


def parsed(*words: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    report.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def test_one_command_writes_figures_table_plots_and_films(
    tiny_world_path: Path, texture_recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Amount(windows=2, rollouts=2, horizon=16, long_rollouts=2, long_horizon=20, lanes=2)
    monkeypatch.setattr(report, "find_amount", lambda minutes, clips: small)
    monkeypatch.setattr(measuring, "REFERENCE", 4)
    (tmp_path / "assets").mkdir()
    out, store = tmp_path / "out", tmp_path / "assets" / "results.json"
    args = parsed(
        "--world", tiny_world_path, "--data", texture_recordings, "--out", out, "--results", store
    )
    assert report.main(args) == 0
    written = {path.name for path in out.iterdir()}
    expected = {"eval.json", "table.md", "horizon.png", "drift.png", "rollouts.png", "long.png"}
    assert expected | {"dream-0.mp4", "dream.gif"} <= written
    figures = json.loads((out / "eval.json").read_text())
    assert len(figures["rollout"]["psnr"]["world"]) == 16
    section = json.loads(store.read_text())["eval.tiny-test"]
    shown = {row[0] for row in section["figures"]["table"]["rows"]}
    assert "one step ahead, all: PSNR, dB" in shown and "loss, other actions / true" in shown
    assert section["command"].startswith("python -m nfd_gym eval")
    assert "FVD" not in (out / "table.md").read_text(), "our own features must not be called FVD"


def test_probes_are_judged_beside_their_recordings(
    tiny_world_path: Path, texture_recordings: Path, tmp_path: Path
) -> None:
    """The recordings double as probes; what counts is who is judged on what."""
    folder = tmp_path / "probes"
    shutil.copytree(texture_recordings, folder)
    index = json.loads((folder / "index.json").read_text())
    for entry, action in zip(index["clips"], ("turn_left", "noop", "attack"), strict=True):
        entry |= {"action": action, "context_frames": 30}
    (folder / "index.json").write_text(json.dumps(index))
    world = WorldModel.load(tiny_world_path)
    figures = measuring.controllability(world, folder, 5, lanes=2, steps=None)
    assert figures["world"]["turn_probes"] == figures["real"]["turn_probes"] == 1
    assert figures["world"]["noop_probes"] == 1 and figures["world"]["dig_probes"] == 0
    assert len(figures["world_probes"]) == 3
    assert all(len(row) == len(COLUMNS) for row in control_rows(figures))


def test_quick_prints_and_draws(
    tiny_world_path: Path,
    texture_recordings: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures, sheet = quick.quick(
        WorldModel.load(tiny_world_path),
        open_source(texture_recordings),
        frames=16,
        rollouts=2,
        horizon=12,
    )
    assert sheet.shape[1] > 3 * 48 and np.ptp(sheet) > 50
    text = "\n".join(quick.lines(figures))
    assert "persistence" in text and "free 10" in text and "edge ratio" in text


def test_the_judge_comes_with_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(report.find_judge(None), InverseDynamics)
    with pytest.raises(ValueError, match="not an inverse-dynamics judge"):
        report.find_judge(tmp_path / "none.safetensors")


def test_more_minutes_more_clips() -> None:
    assert report.find_amount(12, None).rollouts == 2 * report.find_amount(None, None).rollouts
    assert report.find_amount(None, 7).rollouts == 7
