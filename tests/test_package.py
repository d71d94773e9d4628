"""The package as a user installs it."""

import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import gymnasium
import pytest

import nfd_gym
from nfd_gym.__main__ import COMMANDS, main
from nfd_gym.extras import MissingExtra, need

if sys.version_info >= (3, 11):
    import tomllib

ROOT = Path(__file__).parents[1]


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


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert "usage: python -m nfd_gym" in capsys.readouterr().out


def test_an_unknown_command_lists_the_known(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["chek"])
    assert caught.value.code == 2
    assert "check" in capsys.readouterr().err


def test_a_missing_extra_is_the_line_to_type():
    with pytest.raises(MissingExtra, match=r"pip install -c constraints\.txt -e '\.\[data\]'"):
        need("no_such_module_of_ours", "data")


def test_makefile_targets_exist():
    text = (ROOT / "Makefile").read_text("utf-8")
    for target in ("test", "play", "world", "lint", "bench"):
        assert re.search(rf"^{target}:", text, re.MULTILINE), target


def test_ci_is_executable_and_valid_shell():
    path = ROOT / ".ci" / "run"
    assert path.stat().st_mode & 0o100
    subprocess.run(["sh", "-n", str(path)], check=True)
