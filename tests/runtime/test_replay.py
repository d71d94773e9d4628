"""A log replays to the same pixels, and says so when it does not."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from nfd_gym.envs.nfd_env import NFDEnv
from nfd_gym.runtime.replay import LogError, add_arguments, main, read_log
from nfd_gym.world import World


@pytest.fixture
def log(tiny_world_path: Path, tmp_path: Path) -> Path:
    """Two episodes with everything in them, drawn with guessing on."""
    file = tmp_path / "log.ndjson"
    env = NFDEnv(tiny_world_path, engine="eager", speculate="ahead", log=file)
    env.action_space.seed(0)
    env.reset(seed=1)
    for _ in range(5):
        env.step(env.action_space.sample())
    env.undo(2)
    state = env.save_state()
    held = env.action_space.sample()
    for _ in range(3):
        env.step(held)
    env.load_state(state)
    env.step(held)
    frames = np.full((1, 32, 48, 3), 90, np.uint8)
    env.reset(options={"frames": frames})
    env.step(held)
    env.close()
    return file


def replay(log: Path, *more: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args([str(log), *more]))


def test_every_frame_comes_back_bit_for_bit(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(log) == 0
    out = capsys.readouterr().out
    assert "14 frames" in out and "bit for bit" in out


def test_one_changed_action_is_found(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = log.read_text().splitlines()
    third = json.loads(lines[3])
    third["action"][-1] += 0.5
    lines[3] = json.dumps(third)
    log.write_text("\n".join(lines))
    assert replay(log) == 1
    assert "the first at line 4" in capsys.readouterr().out


def test_a_line_cut_by_a_crash_is_left_out(log: Path) -> None:
    text = log.read_text()
    log.write_text(text[:-30])
    assert len(read_log(log)[1]) == len(text.splitlines()) - 2
    assert replay(log) == 0


def test_unusable_logs_are_refused_by_name(
    log: Path, tmp_path: Path, tiny_world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LogError, match="no log at"):
        read_log(tmp_path / "none")
    lines = log.read_text().splitlines()
    log.write_text("\n".join([lines[0], "{", *lines[1:]]))
    with pytest.raises(LogError, match=":2 is not JSON"):
        read_log(log)
    for key in ("world", "fingerprint", "engine", "steps"):
        header = {name: value for name, value in json.loads(lines[0]).items() if name != key}
        log.write_text("\n".join([json.dumps(header), *lines[1:]]))
        assert replay(log) == 2
        assert f"does not name the {key}" in capsys.readouterr().err
    for key, value in {"world": 5, "engine": 5, "steps": "two"}.items():
        header = json.loads(lines[0]) | {key: value}
        log.write_text("\n".join([json.dumps(header), *lines[1:]]))
        assert replay(log) == 2
        assert f"does not name the {key}" in capsys.readouterr().err
    log.write_text("\n".join([lines[0], *lines[2:]]))  # an action before any reset
    assert replay(log) == 2
    assert "line 2 of the log cannot be replayed" in capsys.readouterr().err
    log.write_text("[]\n")
    with pytest.raises(LogError, match="is no log of nfd_gym"):
        read_log(log)
    header = json.loads(lines[0]) | {"fingerprint": "other"}
    log.write_text("\n".join([json.dumps(header), *lines[1:]]))
    assert replay(log) == 2
    assert "drawn by world other" in capsys.readouterr().err
    log.write_text("\n".join([lines[0], '{"jump": 1, "sha": ""}', ""]))
    assert replay(log) == 2
    assert "line 2 of the log cannot be replayed" in capsys.readouterr().err


def test_parallel_guessing_cannot_be_logged(tiny_world_path: Path, tmp_path: Path) -> None:
    with pytest.raises(LogError, match="depends on measured times"):
        NFDEnv(tiny_world_path, engine="eager", speculate="parallel", log=tmp_path / "log")
