"""Every engine is held against eager, one step at a time from equal states."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from nfd_gym.runtime.engine import EngineError, make_engine

from nfd_gym.runtime import converted, engine, openvino_engine
from nfd_gym.runtime.session import Session
from nfd_gym.runtime.starts import Starts
from nfd_gym.world import WorldModel
from tests.conftest import alike

GREY_LEVELS = 2  # what a fast engine may differ by, per step from an equal state


def follows(
    world: WorldModel, folder: Path, name: str, lanes: int, steps: int, frames: int, device: str
) -> bool:
    """Whether each of `frames` steps, all from eager's state, is eager's."""
    clip = Starts(WorldModel.load(folder)).clip(0)
    fast = Session(world, lanes=lanes, engine=name, steps=steps, device=device)
    assert fast.engine.name == name
    slow = Session(world, lanes=lanes, engine="eager", steps=steps, device=device)
    start = [np.stack([part] * lanes) for part in (clip.frames, clip.actions, clip.pitch)]
    slow.reset(*start, seeds=np.arange(lanes))
    rng = np.random.default_rng(0)
    same = []
    for _ in range(frames):
        fast.load(slow.save())
        action = rng.uniform(-0.5, 0.5, (lanes, world.codec.width)).astype(np.float32)
        same.append(alike(fast.step(action), slow.step(action), GREY_LEVELS))
    return all(same)


@pytest.mark.parametrize(("lanes", "steps"), [(1, 1), (3, 2)])
def test_openvino_follows_eager(tiny_world_path: Path, lanes: int, steps: int) -> None:
    pytest.importorskip("openvino")
    world = WorldModel.load(tiny_world_path)
    assert follows(world, tiny_world_path, "openvino", lanes, steps, 10, "cpu")


def test_openvino_really_runs_its_graph(
    tiny_world_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    world = WorldModel.load(tiny_world_path)
    clip = Starts(world).clip(0)
    session = Session(world, engine="openvino")
    session.reset(clip.frames[None], clip.actions[None], clip.pitch[None], [0])
    eager_steps = []
    monkeypatch.setattr(
        session.engine.eager, "step", lambda *a: eager_steps.append(1) or pytest.fail("eager ran")
    )
    session.step(clip.actions[:1])
    session.undo(1)
    short = [part[None, -2:] for part in (clip.frames, clip.actions, clip.pitch)]
    session.reset(*short, seeds=[0])  # a window that is not full is eager's
    with pytest.raises(pytest.fail.Exception, match="eager ran"):
        session.step(clip.actions[:1])


def test_a_conversion_happens_once(
    tiny_world: WorldModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("NFD_GYM_CACHE", str(tmp_path))
    conversions: list[Sequence[object]] = []

    def convert(*given: object) -> None:
        conversions.append(given)
        original(*given)  # type: ignore[arg-type]

    original = openvino_engine._convert
    monkeypatch.setattr(openvino_engine, "_convert", convert)
    renamed = replace(tiny_world, fingerprint="made for this test")
    for _ in range(2):
        make_engine("openvino", renamed, 1, (1.0,), "cpu")  # not kept: the second reads the folder
    assert len(conversions) == 1
    assert not list((tmp_path / "converted").glob(".making-*"))


def test_a_failed_conversion_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NFD_GYM_CACHE", str(tmp_path))

    def fail(folder: Path) -> None:
        (folder / "half").write_text("half a model")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        converted.converted("key", fail)
    assert not any((tmp_path / "converted").iterdir())


def test_old_conversions_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NFD_GYM_CACHE", str(tmp_path))
    for number in range(converted.KEPT + 3):
        converted.converted(str(number), lambda folder: (folder / "x").touch())
    assert len(list((tmp_path / "converted").iterdir())) == converted.KEPT


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inductor's own
def test_compile_follows_eager(tiny_world: WorldModel, tiny_world_path: Path) -> None:
    assert follows(tiny_world, tiny_world_path, "compile", 1, 1, 4, "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize(("lanes", "steps"), [(1, 1), (4, 2)])
def test_cudagraph_follows_eager(tiny_world_path: Path, lanes: int, steps: int) -> None:
    world = WorldModel.load(tiny_world_path, "cuda")
    assert follows(world, tiny_world_path, "cudagraph", lanes, steps, 10, "cuda")


def test_missing_engines_and_devices_are_named(
    tiny_world: WorldModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineError, match="did you mean 'openvino'"):
        make_engine("openvin", tiny_world, 1, (1.0,), "cpu")
    with pytest.raises(EngineError, match="use 'cpu' or 'cuda'"):
        make_engine("auto", tiny_world, 1, (1.0,), "gpu")
    with pytest.raises(EngineError, match="needs device='cuda'"):
        make_engine("cudagraph", tiny_world, 1, (1.0,), "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(EngineError, match="sees no CUDA GPU"):
            make_engine("auto", tiny_world, 1, (1.0,), "cuda")
    monkeypatch.setattr(openvino_engine.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match="pip install openvino"):
        make_engine("openvino", tiny_world, 1, (1.0,), "cpu")
    monkeypatch.setattr(engine.importlib.util, "find_spec", lambda name: None)
    assert make_engine("auto", tiny_world, 1, (1.0,), "cpu").name == "eager"
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(EngineError, match="needs a C"):
        make_engine("compile", tiny_world, 1, (1.0,), "cpu")


def test_auto_is_silent(tiny_world_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_engine("auto", WorldModel.load(tiny_world_path), 1, (1.0,), "cpu")
    out, err = capfd.readouterr()
    assert out == "" and err == ""


def test_openvino_reports_to_nobody() -> None:
    """Its telemetry forked 18 processes in one run of this suite, each trying to reach a server."""
    pytest.importorskip("openvino")
    code = (
        "import sys; from nfd_gym.runtime.openvino_engine import quiet_openvino; "
        "openvino = quiet_openvino(); openvino.convert_model; "
        "assert not any(name.startswith('openvino_telemetry.') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
