"""Every command line of the pages runs to its first step, at micro size, and fails in one line."""

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nfd_gym import cli, command
from nfd_gym.cli import COMMANDS, main
from nfd_gym.errors import NfdError, UsageError
from tests.pages import GUIDES, ROOT, commands, files, runnable

# Options that make a command small; the last one of a name wins.
SMALL = {
    "play": "--world tiny --headless --frames 2 --out play.gif --engine eager --device cpu",
    "record": "--policy random --env NFD-v0 --make world=tiny --make engine=eager --frames 6",
    "import": "--preset as-recorded",
    "check": "",
    "train": "--data data/island --recipe micro --minutes 0.01 --workers 1 "
    "--set loop.device=cpu --set body_steps=5 --set batch=4",
    "eval": "--world runs/island/world --runs 1 --frames 3",
    "bench": "--preset micro --device cpu --engines eager --num-envs 1 --steps 1 --frames 1 "
    "--warm-up 1",
    "replay": "",
    "info": "",
}
# Words that ask for the real game, its probes, a display or an open port: parsed, not run.
NOT_HERE = {"--twin", "--probes", "Luanti-v0", "games", "--host", "--help"}


def parsed(line: str) -> tuple[str, list[str]]:
    """The command and the words after it."""
    words = shlex.split(line)
    words = words[3:] if words[0] == "python" and words[2] == "nfd_gym" else words[1:]
    if words[0] == "-m":  # python -m nfd_gym.play
        words = ["play", *words[2:]]
    return words[0], words[1:]


def check_options(name: str, words: list[str]) -> None:
    parser = argparse.ArgumentParser()
    importlib.import_module(COMMANDS[name].module).add_arguments(parser)
    if words != ["--help"]:
        parser.parse_args(words)


@pytest.mark.parametrize("line", dict.fromkeys(line for page in GUIDES for line in commands(page)))
def test_options_of_documented_commands_exist(line: str) -> None:
    """A flag that was renamed must not live on in a page."""
    check_options(*parsed(line))


def test_pages_name_every_step_of_the_path() -> None:
    named = {parsed(line)[0] for page in GUIDES for line in commands(page)}
    assert {"play", "record", "import", "check", "train", "eval", "bench"} <= named


@pytest.mark.slow
def test_the_game_of_ones_own_is_recorded_trained_and_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/OWN_GAME.md as it is typed, with fewer frames and two steps of training."""
    pytest.importorskip("Box2D")
    pytest.importorskip("nfd_gym.train.recipes.pusht")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    for name, code in files("docs/OWN_GAME.md").items():
        Path(name).write_text(code)
    small = {
        "record": "--frames 64 --set episode_frames=32",
        "train": "--minutes 0.01 --set tokenizer_frames=64 --set loop.warmup=1",
        "play": "--headless --frames 2 --out play.gif --engine eager",
    }
    for line in runnable("docs/OWN_GAME.md"):
        name, words = parsed(line)
        assert main([name, *words, *small.get(name, "").split()]) == 0, capsys.readouterr().err
    assert (tmp_path / "run" / "car" / "world.json").is_file() and Path("play.gif").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in GUIDES if runnable(page)])
def test_commands_of_a_page_run_in_their_order(
    page: str,
    tiny_world_path: Path,
    texture_recordings: Path,
    room_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From recordings to a world that is played, each command on what the one before it made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").symlink_to(tiny_world_path)
    (tmp_path / "vpt").symlink_to(texture_recordings)
    (tmp_path / "data").mkdir()
    for name in ("island", "val", "probes"):
        (tmp_path / "data" / name).symlink_to(room_store)
    ran = []
    for line in runnable(page):
        name, words = parsed(line)
        if NOT_HERE & set(words):
            continue
        words = [word.replace("~/", "") for word in words if word != "--web"]
        code = main([name, *words, *SMALL[name].split()])
        assert code == 0, f"{line}: {capsys.readouterr().err}"
        ran.append(name)
    assert ran


# -- the command line itself


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command_has_an_example_that_parses(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0 and f"nfd-gym {name}" in text and "example:" in text
    for line in COMMANDS[name].example.splitlines():
        assert parsed(line)[0] == name
        check_options(*parsed(line))


def test_overview_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    listed = capsys.readouterr().out
    assert all(re.search(rf"^  {name} +\w", listed, re.MULTILINE) for name in COMMANDS)


def test_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["chek"])
    assert caught.value.code == 2 and "did you mean 'check'" in capsys.readouterr().err


def test_python_m_and_the_script_are_the_same_command() -> None:
    for words in (["-m", "nfd_gym"], ["-c", "import sys; from nfd_gym.cli import main; main()"]):
        done = subprocess.run(
            [sys.executable, *words, "--version"], capture_output=True, text=True, check=True
        )
        assert done.stdout.startswith("nfd_gym ")


def test_only_the_command_that_runs_is_imported() -> None:
    code = "import sys; from nfd_gym.cli import main; main(['info']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert not modules & {"torch", "nfd_gym.train.cli", "nfd_gym.eval.bench", "nfd_gym.play.cli"}


# -- errors


@pytest.mark.parametrize(
    "line",
    [
        "play --world nowhere --headless --frames 2 --out a.mp4",
        "play --env NoSuchEnv-v0 --headless --frames 2 --out a.mp4",
        "play --env nosuchmodule:Env-v0 --headless --frames 2 --out a.mp4",
        "play --world tiny --headless --frames 2 --out a.txt",
        "play --world tiny --headless --frames 2 --out a.mp4 --engine warp",
        "play --world tiny --headless --frames 2 --out a.mp4 --device moon",
        "play --world tiny --headless --frames 2 --out a.mp4 --steps 0",
        "play --world tiny --headless --frames 2 --out a.mp4 --actions none.jsonl",
        "play --world tiny --headless --frames 2 --out a.mp4 --policy nobody",
        "play --bindings none.json --headless --frames 2 --out a.mp4",
        "record --env NoSuchEnv-v0 --out data",
        "import nowhere --out data",
        "check nowhere",
        "train --recipe island --data nowhere --out run",
        "train --recipe nowhere --data nowhere --out run",
        "train --recipe island --data nowhere --out run --set loop.stesp=1",
        "train --recipe island --data nowhere --out run --set tokenizer.patch=7",
        "record --env NFD-v0 --make world=tiny --make wrold=tiny --out data",
        "replay nowhere.ndjson",
        "info nowhere",
    ],
)
def test_what_a_user_can_get_wrong_is_one_line_and_code_2(
    line: str,
    tiny_world_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").symlink_to(tiny_world_path)
    assert main(line.split()) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_an_error_is_printed_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> int:
        raise UsageError("no such\n  thing; type this")

    assert command.guarded("prog", fail) == 2
    assert capsys.readouterr().err == "prog: no such thing; type this\n"


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ValueError, match="a bug"):
        command.guarded("prog", lambda: int("a bug"))


def test_an_interrupted_command_says_whether_it_resumes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop() -> int:
        raise KeyboardInterrupt

    assert command.guarded("prog", stop, resumes=True) == 130
    assert "continues where it stopped" in capsys.readouterr().err
    assert command.guarded("prog", stop) == 130
    assert "continues" not in capsys.readouterr().err
    assert cli.COMMANDS["train"].resumes and not cli.COMMANDS["play"].resumes


CAUGHT_WHERE_RAISED = {"Closed", "_Drop"}  # control flow inside one file, no message for anybody


def error_classes() -> list[type[BaseException]]:
    """Every exception class that a module of nfd_gym defines."""
    found = []
    for path in sorted((ROOT / "nfd_gym").rglob("*.py")):
        source = path.read_text("utf-8")
        names = re.findall(r"^class (\w+)\(.*(?:Error|Exception)\b.*\):", source, re.MULTILINE)
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found += [getattr(importlib.import_module(module), name) for name in names]
    return [one for one in found if one is not NfdError and issubclass(one, BaseException)]


def test_every_error_of_ours_is_an_nfd_error() -> None:
    classes = error_classes()
    assert len(classes) >= 10
    foreign = {one.__name__ for one in classes if not issubclass(one, NfdError)}
    assert foreign <= CAUGHT_WHERE_RAISED
