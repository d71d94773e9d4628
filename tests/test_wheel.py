"""The wheel, built and installed outside the checkout: its worlds are stepped and played."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow

STEP_EVERY_WORLD = """
import json
import gymnasium
import nfd_gym, nfd_gym.shipped, agents.lanes
made = []
for spec in gymnasium.registry.values():
    if spec.entry_point != nfd_gym.NFD_ENV:
        continue
    named = "world" in spec.kwargs
    worlds = [{}] if named else [{"world": name} for name in nfd_gym.shipped.shipped("worlds")]
    for world in worlds:
        env = gymnasium.make(spec.id, engine="eager", **world)
        before, _ = env.reset(seed=0)
        env.action_space.seed(0)
        for _ in range(3):
            frame, *_ = env.step(env.action_space.sample())
        assert frame.shape == before.shape and (frame != before).any()
        env.close()
        made.append(spec.id)
print(json.dumps({"made": made, "file": nfd_gym.__file__, "agents": agents.lanes.__file__}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the tracked files, built from a copy so that the checkout stays clean."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    for name in listing.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    command = ["pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", "-w", out]
    subprocess.run([sys.executable, "-m", *map(str, command), str(source)], check=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the checkout that holds what the wheel installs."""
    target = tmp_path_factory.mktemp("installed")
    command = ["pip", "install", "-q", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run([sys.executable, "-m", *map(str, command)], check=True)
    return target


def run(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A Python process outside the checkout that sees the installed package first."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_wheel_holds_every_tracked_asset_and_package(wheel: Path) -> None:
    listing = subprocess.run(
        ["git", "ls-files", "nfd_gym", "agents/*.py"], cwd=ROOT, capture_output=True, check=True
    )
    tracked = {name for name in listing.stdout.decode().split("\n") if (ROOT / name).is_file()}
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert tracked <= packed, f"the wheel lacks {sorted(tracked - packed)[:5]}"
    foreign = {name for name in packed - tracked if ".dist-info/" not in name}
    assert not foreign, f"the wheel holds untracked {sorted(foreign)[:5]}"


def test_every_world_steps_from_an_installed_wheel(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "-c", STEP_EVERY_WORLD)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert {"NFD-Minecraft-v0", "NFD-v0"} <= set(told["made"])
    assert all(str(installed) in told[key] for key in ("file", "agents"))


def test_ten_frames_are_played_from_an_installed_wheel(installed: Path, tmp_path: Path) -> None:
    words = ("--headless", "--frames", "10", "--out", "play.mp4", "--engine", "eager")
    done = run(installed, tmp_path, "-m", "nfd_gym", "play", *words)
    assert done.returncode == 0 and "10 frames" in done.stdout, done.stderr
    assert (tmp_path / "play.mp4").stat().st_size > 1000


def test_the_installed_script_runs(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, str(installed / "bin" / "nfd-gym"), "info", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["nfd_gym"]


def test_agents_start_from_an_installed_wheel(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "-m", "agents.train_ppo", "--help")
    assert done.returncode == 0 and "usage: python -m agents.train_ppo" in done.stdout, done.stderr
