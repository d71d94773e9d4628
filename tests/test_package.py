"""The package as a user installs it."""

import os
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import gymnasium
import pytest

import nfd_gym
from nfd_gym.data.files import write_text
from nfd_gym.extras import MissingExtra, install_line, need

if sys.version_info >= (3, 11):
    import tomllib

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def project():
    if sys.version_info < (3, 11):
        pytest.skip("tomllib is new in 3.11")
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def names(requirements):
    return {re.split(r"[<>=\[;! ]", line)[0].lower().replace("_", "-") for line in requirements}


def pinned():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_every_direct_dependency_has_an_exact_version():
    wanted = names(project()["dependencies"])
    for extra in project()["optional-dependencies"].values():
        wanted |= names(extra)
    assert wanted - {"nfd-gym"} <= names(pinned())
    assert all("==" in line for line in pinned())
    assert "torch==2.13.0" in pinned()


def test_no_extra_that_overwrites_pygame():
    """gymnasium[classic-control], gymnasium[box2d] and stable-baselines3[extra] bring pygame-ce."""
    lines = [*project()["dependencies"], *chain(*project()["optional-dependencies"].values())]
    brackets = [line for line in lines if "[" in line and not line.startswith("nfd_gym[")]
    assert not brackets
    assert "pygame-ce" not in names(pinned())


def test_the_promised_extras_exist():
    promised = {"play", "rl", "cpu", "data", "luanti", "robotics", "crafter", "test", "all"}
    assert promised <= set(project()["optional-dependencies"])


def test_version_is_said_once():
    assert project()["version"] == nfd_gym.__version__


@pytest.mark.parametrize(
    "name", ["NFD-Minecraft-v0", "NFD-v0", "Luanti-v0", "Crafter-v0", "PushT-v0"]
)
def test_ids_are_registered_with_string_entry_points(name):
    """Strings survive to_json and reach worker processes; callables do neither."""
    spec = gymnasium.spec(name)
    assert isinstance(spec.entry_point, str) and spec.entry_point.startswith("nfd_gym.")
    assert gymnasium.envs.registration.EnvSpec.from_json(spec.to_json()) == spec


def test_a_missing_extra_is_the_line_to_type():
    with pytest.raises(MissingExtra, match=r"pip install -c constraints\.txt -e '\.\[data\]'"):
        need("no_such_module_of_ours", "data")


def test_a_missing_extra_outside_a_checkout_names_its_packages(tmp_path):
    """A wheel's user has no constraints.txt, and no index need know nfd_gym."""
    line = install_line("play", checkout=tmp_path)
    assert line.startswith("pip install ") and "'pygame" in line and "'aiohttp" in line
    assert "nfd_gym" not in line and "constraints" not in line


@pytest.mark.parametrize("module", ["nfd_gym", "nfd_gym.envs.nfd_env", "nfd_gym.play.cli"])
def test_importing_needs_no_posix_module(module):
    """On Windows there is no fcntl; the package, its envs and play must import all the same."""
    blocked = "fcntl resource pwd grp termios posix_ipc".split()
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import {module}"
    if module == "nfd_gym.play.cli":
        code += (
            ", nfd_gym.play.recorder, nfd_gym.play.web, nfd_gym.play.viewer, nfd_gym.eval.bench_env"
        )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_file_is_committed_where_folders_cannot_be_opened(tmp_path, monkeypatch):
    """Windows refuses os.open of a folder, which costs the rename's fsync and nothing else."""
    real = os.open

    def refuse(path, *rest, **options):
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    write_text(tmp_path / "a.txt", "whole")
    assert (tmp_path / "a.txt").read_text() == "whole"


@pytest.mark.parametrize("blocked", [[], ["fcntl"]])
def test_a_lock_is_taken_once_and_needs_no_posix(blocked, tmp_path):
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"
        "from nfd_gym.filelock import try_lock\n"
        f"one, two = (open({str(tmp_path / 'lock')!r}, 'w') for _ in range(2))\n"
        "print(try_lock(one), try_lock(two)); one.close(); print(try_lock(two))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    second = "True" if blocked else "False"  # this system has no other kind of lock
    assert done.stdout.split() == ["True", second, "True"]


def test_settle_is_opt_in_and_documented():
    """Making an env is no reason to change malloc for the whole process: settle() is."""
    code = (
        "import sys, nfd_gym, nfd_gym.runtime.threads as threads\n"
        "calls = []; threads.keep_memory_mapped = lambda: calls.append(1)\n"
        "assert 'torch' not in sys.modules; nfd_gym.settle(); assert calls == [1]\n"
        "import os; assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'"
    )
    environment = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment)
    assert "Opt-in" in nfd_gym.settle.__doc__ and "1 GiB" in nfd_gym.settle.__doc__


def test_ci_runs_the_slow_tests_too():
    """`make test` leaves them out; only CI has the time."""
    assert "make slow" in (ROOT / ".ci" / "run").read_text("utf-8")
    assert re.search(
        r"^slow:.*\n\t.*pytest.*-m slow", (ROOT / "Makefile").read_text(), re.MULTILINE
    )


def test_every_marker_is_used():
    if sys.version_info < (3, 11):
        pytest.skip("tomllib is new in 3.11")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]
    source = "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))
    for marker in settings["ini_options"]["markers"]:
        assert f"mark.{marker.partition(':')[0]}" in source, marker


def test_citation_and_changelog_name_this_version():
    for name in ("CITATION.cff", "CHANGELOG.md"):
        assert nfd_gym.__version__ in (ROOT / "docs" / name).read_text("utf-8"), name


def test_makefile_targets_exist():
    for target in ("test", "slow", "play", "world", "lint", "bench"):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_ci_is_executable_and_valid_shell():
    path = ROOT / ".ci" / "run"
    assert path.stat().st_mode & 0o100
    subprocess.run(["sh", "-n", str(path)], check=True)
