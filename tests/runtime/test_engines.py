"""Every engine is held against eager, one step at a time from equal states."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nfd_gym.model.device import DeviceError
from nfd_gym.runtime.engines import converted, openvino
from nfd_gym.runtime.engines.engine import EngineError
from nfd_gym.runtime.engines.make import make_engine, resolve
from nfd_gym.runtime.session import Session
from nfd_gym.runtime.starts import starts_of
from nfd_gym.world import World, WorldSettings, load_world
from tests.conftest import alike

GREY_LEVELS = 2  # what a fast engine may differ by, per step from an equal state


@pytest.fixture(scope="module", params=["plain", "camera"])
def world(request: pytest.FixtureRequest, tiny_world_path: Path, camera_world: World) -> World:
    return load_world(tiny_world_path) if request.param == "plain" else camera_world


def begun(world: World, num_envs: int = 1, **how: object) -> Session:
    clip = starts_of(world).clip(0)
    session = Session(world, num_envs=num_envs, **how)  # type: ignore[arg-type]
    parts = (clip.frames, clip.actions, clip.depth, clip.poses)
    start = [np.stack([part] * num_envs) for part in parts]
    session.reset(*start, seeds=np.arange(num_envs))
    return session


def follows(world: World, name: str, num_envs: int, steps: int, frames: int, device: str) -> bool:
    """Whether each of `frames` steps, all from eager's state, is eager's."""
    fast = Session(world, num_envs=num_envs, engine=name, steps=steps, device=device)
    slow = begun(world, num_envs, engine="eager", steps=steps, device=device)
    rng = np.random.default_rng(0)
    same = []
    for _ in range(frames):
        fast.load(slow.save())
        action = rng.uniform(-0.5, 0.5, (num_envs, world.codec.width)).astype(np.float32)
        same.append(alike(fast.step(action), slow.step(action), GREY_LEVELS))
    assert fast.engine.name == name
    return all(same)


@pytest.mark.parametrize(("num_envs", "steps"), [(1, 1), (3, 2)])
def test_openvino_follows_eager(world: World, num_envs: int, steps: int) -> None:
    pytest.importorskip("openvino")
    assert follows(world, "openvino", num_envs, steps, 10, "cpu")


def test_openvino_is_float32_unless_bf16_is_asked_for(tiny_world: World) -> None:
    """From one state the latents differ by rounding alone, on CPUs that have bfloat16 too."""
    pytest.importorskip("openvino")
    fast, slow = (begun_short(tiny_world, engine) for engine in ("openvino", "eager"))
    action = np.zeros((1, 25), np.float32)
    fast.step(action), slow.step(action)
    torch.testing.assert_close(fast.state.latents, slow.state.latents, atol=1e-4, rtol=1e-4)
    if "BF16" in openvino._capabilities():
        rough = begun_short(tiny_world, "openvino-bf16")
        rough.step(action)
        apart = (rough.state.latents - slow.state.latents).abs().max()
        assert 1e-4 < apart < 1.0
    else:
        with pytest.raises(EngineError, match="does not multiply in bfloat16"):
            make_engine("openvino-bf16", tiny_world)


def begun_short(world: World, engine: str) -> Session:
    session = Session(world, engine=engine)
    frames = np.random.default_rng(0).integers(0, 256, (1, 5, 32, 48, 3), dtype=np.uint8)
    session.reset(frames, np.zeros((1, 5, 25)), seeds=[0])
    return session


def test_an_exact_context_follows_too(tiny_world: World) -> None:
    """Two evaluations a frame, of which the last commits."""
    pytest.importorskip("openvino")
    world = replace(tiny_world, settings=WorldSettings(context="exact"))
    fast, slow = (begun_short(world, engine) for engine in ("openvino", "eager"))
    action = np.zeros((1, 25), np.float32)
    for _ in range(3):
        assert alike(fast.step(action), slow.step(action), GREY_LEVELS)
    torch.testing.assert_close(fast.cache.keys, slow.cache.keys, atol=1e-2, rtol=1e-2)


def test_openvino_really_runs_its_graph(
    tiny_world_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    world = load_world(tiny_world_path)
    session = begun(world, engine="openvino")
    denoiser = session.engine.denoiser
    monkeypatch.setattr(denoiser, "eager", lambda *a: pytest.fail("eager ran"))
    action = np.zeros((1, 25), np.float32)
    session.step(action)
    session.undo(1)
    clip = starts_of(world).clip(0)
    monkeypatch.undo()
    session.reset(clip.frames[None, -2:], clip.actions[None, -2:], seeds=[0])
    monkeypatch.setattr(denoiser, "eager", lambda *a: pytest.fail("eager ran"))
    with pytest.raises(pytest.fail.Exception, match="eager ran"):
        session.step(action)  # a window that is not full is eager's


def test_a_conversion_happens_once_and_forks_share_the_graph(
    tiny_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("NFD_GYM_CACHE", str(tmp_path))
    conversions: list[Sequence[object]] = []

    def convert(*given: object) -> None:
        conversions.append(given)
        original(*given)  # type: ignore[arg-type]

    original = openvino._convert
    monkeypatch.setattr(openvino, "_convert", convert)
    other = replace(tiny_world, settings=WorldSettings(latent_limit=7.0))
    for steps in (1, 2):  # one graph serves any number of steps
        make_engine("openvino", other, steps=steps)
    assert len(conversions) == 1
    compiled = len(openvino._graphs)
    for _ in range(2):
        begun_short(other, "openvino").fork(1).step(np.zeros((1, 25)))
    assert len(conversions) == 1 and len(openvino._graphs) == compiled
    openvino._graphs.clear()
    make_engine("openvino", other)
    assert len(conversions) == 1, "the second process reads the folder"
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
def test_compile_follows_eager(camera_world: World) -> None:
    assert follows(camera_world, "compile", 1, 1, 4, "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize(("num_envs", "steps"), [(1, 1), (4, 2)])
def test_cudagraph_follows_eager(tiny_world_path: Path, num_envs: int, steps: int) -> None:
    world = load_world(tiny_world_path, "cuda")
    assert follows(world, "cudagraph", num_envs, steps, 10, "cuda")


def test_missing_engines_and_devices_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match="did you mean 'openvino'"):
        resolve("openvin", "cpu")
    with pytest.raises(DeviceError, match="use 'cpu' or 'cuda'"):
        resolve("auto", "gpu")
    with pytest.raises(EngineError, match="needs device='cuda'"):
        resolve("cudagraph", "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="sees no CUDA GPU"):
            resolve("auto", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve("auto", "cuda")[0] == "eager", "a GPU's graph engine is opt-in"
    with pytest.raises(EngineError, match="runs on device='cpu'"):
        resolve("openvino", "cuda")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineError, match="pip install openvino"):
        resolve("openvino-bf16", "cpu")
    assert resolve("auto", "cpu")[0] == "eager"
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(EngineError, match="needs a C"):
        resolve("compile", "cpu")


def test_auto_is_silent(tiny_world: World, capfd: pytest.CaptureFixture[str]) -> None:
    make_engine("auto", tiny_world)
    out, err = capfd.readouterr()
    assert out == "" and err == ""


def test_openvino_reports_to_nobody() -> None:
    """Its telemetry forked 18 processes in one run of this suite, each trying to reach a server."""
    pytest.importorskip("openvino")
    code = (
        "import sys; from nfd_gym.runtime.engines.openvino import quiet_openvino; "
        "openvino = quiet_openvino(); openvino.convert_model; "
        "assert not any(name.startswith('openvino_telemetry.') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
