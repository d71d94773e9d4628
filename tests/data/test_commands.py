"""The commands check, import, record and info, as a user types them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nfd_gym.actions import KeysAndMouse
from nfd_gym.cli import main
from nfd_gym.data.check import check_source
from nfd_gym.data.sources import open_source
from nfd_gym.data.statistics import repeats
from nfd_gym.data.store import write_clip

ROOT = Path(__file__).parents[2]


def problems(capsys, *arguments):
    code = main(["check", *map(str, arguments)])
    lines = capsys.readouterr().out.splitlines()
    return code, [line.removeprefix("PROBLEM: ") for line in lines if line.startswith("PROBLEM")]


def test_check_prints_what_was_played(pairs, make_row, capsys):
    """Known answers: 20 rows, forward in 5 of the 19 actions that made a frame, camera in 4."""
    rows = [make_row() for _ in range(20)]
    for row in range(5):
        rows[row] = make_row(keyboard_keys=["key.keyboard.w"], mouse_dx=2.0 if row < 4 else 0.0)
    assert main(["check", str(pairs.add(rows))]) == 0
    text = capsys.readouterr().out
    assert "1 clips, 20 frames = 1 seconds" in text
    assert "forward 26.3%" in text and "moves in 21.1% of frames" in text
    assert "does nothing: 73.7%" in text
    assert "no problems, every frame decodes" in text


def test_repeats_count_keys_and_coarse_camera():
    codec = KeysAndMouse()
    turns = [0.0, 0.05, 1.5, 1.7, -1.5, -1.5]
    actions = np.stack([codec.vector(["forward"], yaw=turn) for turn in turns])
    assert repeats(codec, actions).tolist() == [True, False, True, False, True]


def test_check_names_every_problem(pairs, make_row, capsys):
    rows = [make_row() for _ in range(8)]
    rows[2] = make_row(mouse_dx=1e7)
    rows[5] = make_row(mouse_dy="up")
    rows[6] = make_row(mouse=[])
    folder = pairs.add(rows, np.zeros((8, 16, 16, 3), np.uint8))
    pairs.add([make_row() for _ in range(5)], name="fine")
    index = {"fps": 20, "clips": [{"name": "clip", "frames": 8}, {"name": "fine", "frames": 5}]}
    (folder / "index.json").write_text(json.dumps(index))
    code, found = problems(capsys, folder)
    assert code == 1 and len(found) == 3
    for row, problem in zip((2, 5, 6), found, strict=True):
        assert problem.startswith(f"{folder}/clip.jsonl:{row}: mouse")


def test_check_counts_frames_rows_and_index(pairs, make_row, capsys):
    folder = pairs.add([make_row()] * 6, np.zeros((4, 16, 16, 3), np.uint8))
    assert main(["check", str(folder)]) == 0
    assert "4 frames and 6 rows" in capsys.readouterr().out
    index = {"fps": 20, "clips": [{"name": "clip", "frames": 6}]}
    (folder / "index.json").write_text(json.dumps(index))
    code, found = problems(capsys, folder)
    assert code == 1 and "index.json says 6 frames" in found[0]


def test_check_notes_what_is_odd_but_usable(pairs, make_row, capsys):
    rows = [make_row() for _ in range(4)]
    rows[1] = make_row(keyboard_keys=["key.keyboard.f3"], isGuiOpen=True)
    rows[2] = {"mouse": None}
    folder = pairs.add(rows, np.zeros((4, 16, 16, 3), np.uint8))
    assert main(["check", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "clip.jsonl:1: 'key.keyboard.f3' has no place" in text
    assert "clip.jsonl:1: a menu is open" in text
    assert "clip.jsonl:2: keyboard is missing" in text


def test_check_finds_damage_that_counting_misses(pairs, make_row, capsys):
    folder = pairs.add([make_row()] * 40, name="a")
    path = folder / "a.mp4"
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 600] = bytes(600)
    path.write_bytes(bytes(data))
    assert main(["check", "--fast", str(folder)]) == 0
    capsys.readouterr()
    code, found = problems(capsys, folder)
    assert code == 1 and "a.mp4" in found[0]


def test_check_and_fast_check_agree(long_pair):
    slow, fast = (check_source(open_source(long_pair), decode=decode) for decode in (True, False))
    assert slow.frames == fast.frames == 145
    for a, b in zip(slow.actions, fast.actions, strict=True):
        assert np.array_equal(a, b)


def test_check_of_a_store_with_real_actions(tmp_path, capsys):
    np.savez(
        tmp_path / "a.npz",
        frames=np.zeros((6, 16, 16, 3), np.uint8),
        actions=np.array([[0.0], [1], [2], [3], [4]]),
        rewards=np.ones(5),
    )
    assert main(["check", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "action 0: mean 2" in text and "reward: 5.00 in all" in text


def test_import_keeps_everything(long_pair, tmp_path, capsys):
    arguments = ["import", str(long_pair), "--out", str(tmp_path / "out"), "--preset", "lossless"]
    assert main(arguments) == 0
    before, after = open_source(long_pair), open_source(tmp_path / "out")
    assert after.names == before.names and after.lengths == before.lengths
    for index in range(2):
        a, b = before.read(index), after.read(index)
        assert np.array_equal(a.frames, b.frames) and np.array_equal(a.actions, b.actions)
        assert np.array_equal(a.pitch, b.pitch) and a.events == b.events
    assert "2 clips added, 0 were there already" in capsys.readouterr().out
    assert main(arguments) == 0
    assert "0 clips added, 2 were there already" in capsys.readouterr().out


def test_import_resizes(long_pair, tmp_path):
    arguments = ["import", str(long_pair), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--set", "height=16", "--set", "width=24"]) == 0
    assert open_source(tmp_path / "out").size == (16, 24)


def test_import_refuses_bad_clips_alone(pairs, make_row, tmp_path, capsys):
    pairs.add([make_row()] * 4, name="a")
    folder = pairs.add([make_row()] * 4, name="c")
    (folder / "b.mp4").write_bytes((folder / "a.mp4").read_bytes())
    (folder / "b.jsonl").write_text('{"mouse": {}}\n{oops\n{}\n{}\n')
    names = [{"name": name, "frames": 4} for name in "abc"]
    (folder / "index.json").write_text(json.dumps({"fps": 20, "clips": names}))
    assert main(["import", str(folder), "--out", str(tmp_path / "out")]) == 1
    assert "b.jsonl:1: not a JSON object" in capsys.readouterr().err
    assert open_source(tmp_path / "out").names == ["a", "c"]


def test_import_after_kill_resumes(pairs, make_row, tmp_path):
    """SIGINT in the middle: finished clips stay whole, the next run brings the rest."""
    frames = np.random.default_rng(0).integers(0, 256, (150, 16, 16, 3), dtype=np.uint8)
    for number in range(6):
        pairs.add([make_row()] * 150, frames, name=f"clip-{number}")
    out = tmp_path / "out"
    command = [sys.executable, "-m", "nfd_gym", "import", str(pairs.folder), "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (out / "index.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode in (0, 130)
    if process.returncode == 130:
        assert "interrupted" in errors and "Traceback" not in errors
    assert not list(out.glob(".*.part"))
    partial = open_source(out)
    assert partial.lengths == [150] * len(partial.names) and partial.names
    assert main(command[3:]) == 0
    assert open_source(out).lengths == [150] * 6
    assert main(["check", str(out)]) == 0


def test_record_and_info(tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["record", "--env", "CartPole-v1", "--frames", "20", "--out", str(out)]
    pytest.importorskip("pygame")
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    assert main(arguments) == 0
    assert "20 frames" in capsys.readouterr().out
    assert main(["info", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["frames"] == 20 and facts["actions"]["kind"] == "discrete"
    assert facts["size"] == "600x400"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["check", "/no/such/folder"], "no such file or folder"),
        (["import", "/no/such", "--out", "x"], "no such file or folder"),
        (["import", ".", "--out", "x", "--set", "crff=1"], "did you mean 'crf'"),
        (["import", ".", "--out", "x", "--preset", "smal"], "did you mean 'small'"),
        (["record", "--env", "X-v0", "--out", "x", "--frames", "1"], "at least 2 frames"),
        (["record", "--env", "CartPole-v1", "--out", "x", "--hours", "1"], "Luanti"),
        (["check", ".", "--kind", "vpr"], "did you mean 'vpt'"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert sentence in message and message.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_dry_run_only_prints(tmp_path, capsys):
    arguments = ["import", "nowhere", "--out", str(tmp_path / "x"), "--set", "crf=7", "--dry-run"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["crf"] == 7
    assert not (tmp_path / "x").exists()


def test_an_empty_folder_says_what_is_expected(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 2
    assert "expected NAME.mp4 + NAME.jsonl (VPT)" in capsys.readouterr().err


def test_info_of_the_machine(capsys):
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["cores"] >= 1 and facts["numpy"] == np.__version__


def test_info_of_a_world(tmp_path, capsys):
    (tmp_path / "world.json").write_text('{"format": 1, "name": "tiny"}')
    (tmp_path / "denoiser.safetensors").write_bytes(bytes(1_500_000))
    assert main(["info", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "name: tiny" in text and "denoiser.safetensors: 1.5 MB" in text


def test_bench_data_measures(long_pair, capsys):
    """The figures are of this run: frames counted, speed positive, memory read several times."""
    from nfd_gym.data.bench import measure

    figures = measure(long_pair, 400, window=8, batch=2, workers=2)
    assert figures["frames"] == 400 and figures["frames_per_second"] > 0
    assert len(figures["memory_mb"]) >= 10 and min(figures["memory_mb"]) > 10


def test_import_carries_depth_and_poses(tmp_path, make_room, capsys):
    clip = make_room(8)
    write_clip(tmp_path / "in", clip, KeysAndMouse(), fov_y=72.0)
    assert main(["import", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    again = open_source(tmp_path / "out").read(0)
    assert np.array_equal(again.depth, clip.depth) and np.abs(again.pose - clip.pose).max() < 1e-4
    small = ["import", str(tmp_path / "in"), "--out", str(tmp_path / "s"), "--set", "height=28"]
    assert main(small) == 2
    assert "depth cannot be brought to another size" in capsys.readouterr().err


def test_info_says_what_was_played(tmp_path, make_scroll, capsys):
    write_clip(tmp_path, make_scroll(40), KeysAndMouse())
    assert main(["info", str(tmp_path)]) == 0
    assert "played: " not in capsys.readouterr().out
    assert main(["info", str(tmp_path), "--played"]) == 0
    text = capsys.readouterr().out
    assert "played: 1 clips, 40 frames" in text and "dig 1 = 2.50% (default:tree 1)" in text


def test_the_recorder_of_a_game_is_handed_in(monkeypatch, tmp_path):
    """The command line passes it: nfd_gym.data knows no game, not even by a name in a string."""
    from nfd_gym.games.luanti import recorder

    seen = []
    monkeypatch.setattr(recorder, "main", lambda args: seen.append((args.hours, args.out)) or 7)
    arguments = ["record", "--env", "Luanti-v0", "--hours", "0.5", "--out", str(tmp_path)]
    assert main(arguments) == 7 and seen == [(0.5, str(tmp_path))]
