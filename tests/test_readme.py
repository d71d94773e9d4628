"""The README is executed: marked blocks run, commands parse, paths exist."""

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

from nfd_gym.__main__ import COMMANDS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"<!-- run(?:: world)? -->\n```python\n(.*?)```", TEXT, re.DOTALL)
SHELL = [
    line.split("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_marked_blocks_run(number, tmp_path, monkeypatch):
    code = BLOCKS[number]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, f"README block {number}", "exec"), {"__name__": "readme"})


def test_every_python_block_is_marked():
    assert len(BLOCKS) == TEXT.count("```python") >= 3


@pytest.mark.parametrize("line", [line for line in SHELL if line.startswith("python -m nfd_gym")])
def test_commands_parse(line):
    """A flag that was renamed must not live on in the README."""
    words = shlex.split(line)[2:]
    if words[0] == "nfd_gym.play":
        play = importlib.import_module("nfd_gym.play.__main__")
        play.make_parser().parse_args(words[1:])
        return
    parser = argparse.ArgumentParser()
    importlib.import_module(COMMANDS[words[1]][0]).add_arguments(parser)
    parser.parse_args(words[2:])


@pytest.mark.parametrize("line", [line for line in SHELL if line.startswith("make ")])
def test_make_targets_exist(line):
    assert re.search(rf"^{line.split()[1]}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def test_installations_use_the_exact_versions():
    lines = [line for line in SHELL if line.startswith("pip install")]
    assert lines and all("-c constraints.txt" in line for line in lines)


def test_the_tree_exists():
    tree = re.search(r"## What lies where\n\n```\n(.*?)```", TEXT, re.DOTALL).group(1)
    base = ROOT
    for line in tree.splitlines():
        names = re.split(r"\s{2,}", line.strip())
        for name in [word for part in names[:2] for word in part.split()]:
            if not re.fullmatch(r"[\w./]+(\.py|\.txt|/|run)|Makefile", name):
                break
            if name == "nfd_gym/":
                base = ROOT / "nfd_gym"
                continue
            where = base if line.startswith("  ") else ROOT
            assert (where / name).exists(), f"README's tree names {name}"


def test_the_results_blocks_are_there():
    for name in ("quality", "bench.env", "bench.speculate.paced", "agents.transfer.explore"):
        assert re.search(rf"<!-- results:{name} -->.*?<!-- /results -->", TEXT, re.DOTALL)
