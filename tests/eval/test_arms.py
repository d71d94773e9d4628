"""The arms of a distillation on the tiny world: same recordings, same noise, one row each."""

import json
from pathlib import Path

import numpy as np
import pytest

from nfd_gym.data import open_source
from nfd_gym.eval import arms
from nfd_gym.eval.metrics import psnr
from nfd_gym.eval.rollout import cut
from nfd_gym.eval.subject import open_world


def test_arm_descriptions_are_read_and_refused_by_name() -> None:
    few = arms.parse("dcm-2=/a/b@1.0,0.833")
    assert few == arms.Arm("dcm-2", Path("/a/b"), sigmas=(1.0, 0.833)) and few.evaluations == 2
    assert arms.parse("teacher=/a@ode18").evaluations == 18
    own = arms.parse("x=/a@1.0,0.5+exact+fresh")
    assert own.exact and own.fresh and own.evaluations == 3  # the commit pass counts
    for wrong in ("dcm", "dcm=/a", "=/a@1.0"):
        with pytest.raises(ValueError, match="NAME=FOLDER@"):
            arms.parse(wrong)


def test_one_ode_step_is_one_step_and_more_steps_differ(tiny_world_path: Path) -> None:
    data = open_source(tiny_world_path / "starts")
    world = open_world(tiny_world_path, data)
    excerpt = cut(data, 2, world.denoiser.config.window + 1, 4)
    pictures = {
        name: arms.one_pass(world, excerpt, arms.parse(f"x={tiny_world_path}@{how}"))
        for name, how in {"one": "1.0", "ode1": "ode1", "ode4": "ode4"}.items()
    }
    assert pictures["one"].shape == excerpt.real.shape
    np.testing.assert_array_equal(pictures["one"], pictures["ode1"])
    assert psnr(pictures["ode4"], pictures["one"]).mean() < 60


def test_the_table_has_every_arm_and_says_how_it_was_made(
    tiny_world_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "assets").mkdir()
    words = []
    for name, how in {"teacher": "ode3", "one": "1.0", "two": "1.0,0.8"}.items():
        words += ["--arm", f"{name}={tiny_world_path}@{how}"]
    words += ["--data", str(tiny_world_path / "starts"), "--out", str(tmp_path / "pictures")]
    words += ["--windows", "2", "--ahead", "3", "--runs", "2", "--horizon", "5"]
    words += ["--results", str(tmp_path / "assets" / "results.json")]
    assert arms.main(words) == 0
    stored = json.loads((tmp_path / "assets" / "results.json").read_text())["distill.arms"]
    shown = stored["figures"]["table"]
    rows = {row[0]: dict(zip(shown["columns"], row, strict=True)) for row in shown["rows"]}
    assert [rows[name]["evaluations"] for name in ("teacher", "one", "two")] == [3, 1, 2]
    assert rows["teacher"]["free 5 dB"] is None and rows["one"]["free 5 dB"] > 0
    assert rows["one"]["one step dB"] != rows["two"]["one step dB"]
    assert (tmp_path / "pictures" / "two.png").exists()
    assert not (tmp_path / "pictures" / "teacher.png").exists()
