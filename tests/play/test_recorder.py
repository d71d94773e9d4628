"""Recordings: aligned, complete on every way out, and readable as training data."""

import signal
import time

import numpy as np
import pytest

from nfd_gym.data import open_source
from nfd_gym.envs.nfd_env import NFDEnv
from nfd_gym.play.game import Game
from nfd_gym.play.inputs import Inputs, Sample
from nfd_gym.play.loop import Loop
from nfd_gym.play.players import log_player, scripted_player
from nfd_gym.play.recorder import SEGMENT
from nfd_gym.play.stage import Stage
from nfd_gym.runtime.replay import read_log, replay
from nfd_gym.runtime.session import Session
from nfd_gym.runtime.starts import starts_of
from nfd_gym.world import load_world


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
        vectors.append(
            game.player.vector(Sample(held=frozenset({keys}), dx=7.0, dy=-2.0), frames[-1])
        )
    game.command("record")
    game.command("pause")
    game.tick(Sample())
    (clip,) = clips(game.folder)
    assert np.array_equal(clip.actions[1:], vectors) and not clip.actions[0].any()
    error = np.abs(clip.frames.astype(int) - np.stack(frames).astype(int))
    assert error.mean() < 8  # H.264 with subsampled colour, on a very colourful texture
    assert np.abs(clip.frames[1:].astype(int) - np.stack(frames[:-1])).mean() > 2 * error.mean()


def test_clock_and_recording_go_at_the_rate_of_the_world(scroll, tmp_path):
    """A world at 10 Hz played at 20 would be twice as fast, and so would what is trained on it."""
    env = scroll()
    env.metadata = {**env.metadata, "render_fps": 10}
    player = scripted_player(env.codec, np.random.default_rng(0))
    game = Game(Stage(env, "scroll"), [player], folder=tmp_path)
    assert Loop(game, Inputs()).metronome.rate == game.facts()["rate"] == 10
    game.command("record")
    play(game, 9)
    game.close()
    assert open_source(game.folder).fps == 10


def test_every_cut_begins_a_new_clip(make_game):
    game = make_game()
    game.command("record")
    play(game, 25, "w")
    for command in ("save", "undo", "load", "new place"):
        game.command(command)
        play(game, 5, "w")
    game.close()
    assert [len(clip) for clip in clips(game.folder)] == [26 + 5, 6, 6, 6]


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
    assert not list(game.folder.glob(".*.part"))


def test_a_long_recording_is_cut_into_segments(make_game, monkeypatch):
    assert SEGMENT == 6000
    monkeypatch.setattr("nfd_gym.play.recorder.SEGMENT", 10)
    game = make_game()
    game.command("record")
    play(game, 25, "w")
    game.close()
    assert [len(clip) for clip in clips(game.folder)] == [10, 10, 6]


def test_a_recording_can_be_played_again(make_game):
    game = make_game()
    game.command("record")
    frames = play(game, 15, "w", "right")
    game.close()
    (path,) = game.folder.glob("*.jsonl")
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


@pytest.mark.slow
def test_sigterm_finishes_the_recording(play_process, tiny_world_path, tmp_path):
    """The real env on a dummy display: clips whole, log bit for bit the same when replayed."""
    process = play_process(
        "--world", tiny_world_path, "--engine", "eager", "--record", "--folder", tmp_path,
        env={"SDL_VIDEODRIVER": "dummy", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*.ndjson")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    (clip,) = clips(tmp_path)
    (log,) = tmp_path.glob("*.ndjson")
    header, lines = read_log(log)
    assert len(clip) == len(lines) > 5 and "ticks" in out
    world = load_world(tiny_world_path)
    session = Session(world, engine=header["engine"], steps=header["steps"])
    assert all(same for _, _, same in replay(lines, session, starts_of(world)))


def test_steps_and_time_travel_are_in_the_log(tiny_world_path, tmp_path):
    world = load_world(tiny_world_path)
    stage = Stage(*_dreams(world))
    game = Game(stage, [scripted_player(stage.codec, np.random.default_rng(0))], folder=tmp_path)
    game.command("record")
    for command in ("", "save", "undo", "load", "new place"):
        game.command(command)
        play(game, 4)
    game.command("more steps")
    play(game, 3)
    assert game.stage.steps == 2
    game.close()
    logs = sorted(tmp_path.glob("*.ndjson"))
    assert len(logs) == 2  # another number of steps is another session
    for log in logs:
        header, lines = read_log(log)
        session = Session(world, engine="eager", steps=header["steps"])
        assert all(same for _, _, same in replay(lines, session, starts_of(world)))
    assert [len(clip) for clip in clips(tmp_path)] == [9, 5, 5, 5, 4]


def _dreams(world):
    def make(steps):
        kwargs = {"action_space": "minerl", "engine": "eager", "steps": steps}
        return NFDEnv(world, render_mode="rgb_array", **kwargs)

    return make(None), "tiny", "dream", world.denoiser.config.window + 1, make
