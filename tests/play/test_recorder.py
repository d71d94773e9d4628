"""Recordings: aligned, complete on every way out, and readable as training data."""

import json
import signal
import time

import numpy as np
import pytest

from nfd_gym.data import open_source
from nfd_gym.play.inputs import Inputs, Sample
from nfd_gym.play.loop import Loop
from nfd_gym.play.players import log_player
from nfd_gym.play.recorder import SEGMENT, digest


def play(game, ticks, *keys):
    return [game.tick(Sample(held=frozenset(keys), dx=3.0)).frame for _ in range(ticks)]


def clips(folder):
    source = open_source(folder)
    return [source.read(index) for index in range(len(source.names))]


def test_a_recording_is_a_clip_whose_actions_made_its_frames(make_game):
    game = make_game()
    frames = [game.view.frame]
    game.command("record")
    vectors = []
    for keys in ["w", "s", "d", "w", "q"] * 4:
        frames.append(game.tick(Sample(held=frozenset({keys}), dx=7.0, dy=-2.0)).frame)
        vectors.append(game.player.vector(Sample(held=frozenset({keys}), dx=7.0, dy=-2.0), frames[-1]))
    game.command("record")
    game.command("pause")
    game.tick(Sample())
    (clip,) = clips(game.folder)
    assert np.array_equal(clip.actions[1:], vectors) and not clip.actions[0].any()
    error = np.abs(clip.frames.astype(int) - np.stack(frames).astype(int))
    assert error.mean() < 8  # H.264 with subsampled colour, on a very colourful texture
    assert np.abs(clip.frames[1:].astype(int) - np.stack(frames[:-1])).mean() > 2 * error.mean()


def test_every_cut_begins_a_new_clip_and_log(make_game):
    game = make_game()
    game.command("record")
    play(game, 25, "w")
    for command in ("save", "undo", "load", "new place"):
        game.command(command)
        play(game, 5, "w")
    game.close()
    assert [len(clip) for clip in clips(game.folder)] == [26 + 5, 6, 6, 6]
    logs = sorted(game.folder.glob("*.ndjson"))
    assert len(logs) == 4


def test_the_log_replays_to_the_same_pictures(make_game, scroll):
    game = make_game()
    play(game, 7, "w")
    game.command("record")
    frames = play(game, 12, "w", "right")
    game.close()
    (path,) = game.folder.glob("*.ndjson")
    header, *lines = [json.loads(line) for line in path.read_text().splitlines()]
    env = scroll()
    env.load_state((path.parent / header["state"]).read_bytes())
    assert header["digest"] == digest(env.render())
    for line, frame in zip(lines, frames, strict=True):
        action = env.codec.decode(np.array(line["action"], np.float32))
        picture = env.step(action)[0]
        assert line["digest"] == digest(picture) == digest(frame)


def test_a_crash_of_the_world_keeps_the_recording_and_is_reported(make_game):
    game = make_game(dies_at=6)
    game.command("record")
    loop = Loop(game, Inputs(), rate=200)
    loop.start()
    loop.join(timeout=20)
    with pytest.raises(RuntimeError, match="the world broke"):
        loop.finish()
    (clip,) = clips(game.folder)
    assert len(clip) == 7
    (log,) = game.folder.glob("*.ndjson")
    assert len(log.read_text().splitlines()) == 7
    assert not list(game.folder.glob(".*.part"))


def test_a_long_recording_is_cut_into_segments(make_game, monkeypatch):
    assert SEGMENT == 6000
    monkeypatch.setattr("nfd_gym.play.recorder.SEGMENT", 10)
    game = make_game()
    game.command("record")
    play(game, 25, "w")
    game.close()
    assert [len(clip) for clip in clips(game.folder)] == [10, 10, 6]


@pytest.mark.parametrize("ending", ["ndjson", "jsonl"])
def test_a_recording_can_be_played_again(make_game, scroll, ending):
    game = make_game()
    game.command("record")
    frames = play(game, 15, "w", "right")
    game.close()
    (path,) = game.folder.glob(f"*.{ending}")
    again = make_game()
    again.player = log_player(path, again.stage.codec)
    assert np.array_equal([again.tick(Sample()).frame for _ in frames], frames)
    still = again.view.frame
    assert np.array_equal(again.tick(Sample()).frame, still)  # used up: nothing is pressed


def test_two_games_do_not_record_into_one_folder(make_game):
    first, second = make_game(), make_game()
    first.command("record")
    first.tick(Sample())
    second.command("record")
    assert "--folder" in second.tick(Sample()).facts["toast"]
    first.close()
    second.command("record")
    assert "recording into" in second.tick(Sample()).facts["toast"]


def test_a_recording_goes_on_in_the_folder_of_the_last_one(make_game):
    for _ in range(2):
        game = make_game()
        game.command("record")
        play(game, 3)
        game.close()
    assert [len(clip) for clip in clips(game.folder)] == [4, 4]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_recording(play_process, tmp_path, number):
    process = play_process(
        "--env", "scroll_world:Scroll-v0", "--record", "--folder", tmp_path,
        env={"SDL_VIDEODRIVER": "dummy"},
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".*.ndjson.part")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    (clip,) = clips(tmp_path)
    (log,) = tmp_path.glob("*.ndjson")
    assert len(clip) > 5 and len(log.read_text().splitlines()) == len(clip)
    assert "ticks" in out
