"""Films without a display, the two worlds side by side, and refusals that come before any model."""

import argparse

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence
from scroll_world import HEIGHT, WIDTH, shift_of

from nfd_gym.games.luanti import check
from nfd_gym.play.__main__ import main
from nfd_gym.play.game import Game
from nfd_gym.play.headless import film
from nfd_gym.play.inputs import Sample
from nfd_gym.play.mirror import LINE, Mirror
from nfd_gym.play.players import policy_player
from nfd_gym.play.stage import Stage

ENV = ("--env", "scroll_world:Scroll-v0", "--headless")


def decoded(path):
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def test_an_mp4_has_every_frame_and_is_the_same_every_time(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        code = main([*ENV, "--frames", "12", "--out", str(tmp_path / name), "--scale", "2"])
        assert code == 0
    first, second = decoded(tmp_path / "a.mp4"), decoded(tmp_path / "b.mp4")
    assert len(first) == 12 and first[0].shape == (2 * HEIGHT, 2 * WIDTH, 3)
    assert np.array_equal(first, second)
    assert not np.array_equal(first[0], first[-1])


def test_a_gif_lasts_as_long_as_the_play_it_shows(tmp_path):
    path = tmp_path / "play.gif"
    assert main([*ENV, "--frames", "20", "--out", str(path), "--policy", "random"]) == 0
    with Image.open(path) as gif:
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(gif)]
        assert gif.info["loop"] == 0
    # Equal neighbours are one picture that stays longer.
    assert sum(durations) == 1000 and 3 <= len(durations) <= 10


def test_the_real_game_and_the_dream_side_by_side(scroll):
    real, dream = Stage(scroll(), "real", "real", memory=5), Stage(scroll(), "dream")
    mirror = Mirror(real, dream)
    before = mirror.reset(3).frame
    assert np.array_equal(before[:, :WIDTH], before[:, WIDTH + LINE :])
    vector = real.codec.vector(["forward"], 0.0, 3.0)
    views = [mirror.step(vector).frame for _ in range(8)]
    assert len(dream.env.began["frames"]) == 5  # then it knows as much as it can hold
    for view in views:  # this dream is perfect, so both halves stay equal
        assert np.array_equal(view[:, :WIDTH], view[:, WIDTH + LINE :])
    assert shift_of(views[-2][:, :WIDTH], views[-1][:, :WIDTH]) == (3, -2)


def test_an_interrupted_film_is_kept_as_far_as_it_came(scroll, tmp_path):
    class Impatient:
        name = "impatient"
        ticks = 0

        def vector(self, sample, frame):
            self.ticks += 1
            if self.ticks == 6:
                raise KeyboardInterrupt
            return np.zeros(25, np.float32)

    game = Game(Stage(scroll(), "scroll"), [Impatient()], folder=tmp_path)
    assert "6 frames" in film(game, frames=100, out=tmp_path / "cut.mp4")
    assert len(decoded(tmp_path / "cut.mp4")) == 6 and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("policy", ["random", "scripted"])
def test_players_of_one_seed_act_alike(scroll, policy):
    codec = scroll().codec
    runs = []
    for _ in range(2):
        player = policy_player(policy, codec, np.random.default_rng(5))
        runs.append([player.vector(Sample(), np.zeros((2, 2, 3), np.uint8)) for _ in range(100)])
    assert np.array_equal(*runs) and len(np.unique(runs[0], axis=0)) > 5


def test_the_script_walks_looks_around_and_keeps_to_the_horizon(scroll):
    codec = scroll().codec
    player = policy_player("scripted", codec, np.random.default_rng(0))
    vectors = np.stack(
        [player.vector(Sample(), np.zeros((2, 2, 3), np.uint8)) for _ in range(4000)]
    )
    pitch, yaw = codec.rotation(vectors)
    assert 0.4 < vectors[:, codec.vector(["forward"]).argmax()].mean() < 0.9
    assert np.abs(pitch.cumsum()).max() < 60 and np.abs(yaw).max() <= 8.01
    assert np.corrcoef(yaw[1:], yaw[:-1])[0, 1] > 0.8  # a hand, not noise


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--headless",), "--frames"),
        (("--headless", "--frames", "3", "--out", "x.avi"), ".mp4 or a .gif"),
        (("--headless", "--frames", "3", "--out", "none/x.mp4"), "does not exist"),
        (("--headless", "--web", "--frames", "3", "--out", "x.mp4"), "--web and --headless"),
        (("--headless", "--frames", "3", "--out", "x.mp4", "--policy", "clever"), "'clever'"),
        (("--sensitivity", "0"), "--sensitivity"),
        (("--host", "0.0.0.0"), "--web"),
        (("--twin",), "choose one of --twin and --env"),
        (("--side-by-side",), "--twin"),
        (("--bindings", "none.json"), "none.json"),
    ],
)
def test_what_cannot_work_is_one_sentence(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--env", "scroll_world:Scroll-v0", *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.splitlines()) == 1
    assert not list(tmp_path.glob("*.mp4"))


def test_an_unknown_world_is_one_sentence(capsys, tmp_path):
    out = str(tmp_path / "x.mp4")
    assert main(["--world", "narnia", "--headless", "--frames", "3", "--out", out]) == 2
    said = capsys.readouterr().err
    assert "narnia" in said and len(said.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.luanti
def test_tab_walks_from_the_real_game_into_the_dream_and_back(tiny_world_path, tmp_path):
    """The twin for real: the dream's first picture is the game's last, and the game waits."""
    from nfd_gym.play.casting import make_stage
    from nfd_gym.play.cli import add_arguments

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(
        ["--twin", "--world", str(tiny_world_path), "--engine", "eager", "--speculate", "off"]
    )
    if missing := check():
        pytest.skip("; ".join(missing))
    twin = make_stage(args)
    game = Game(
        twin,
        [policy_player("scripted", twin.real.codec, np.random.default_rng(0))],
        folder=tmp_path,
    )
    try:
        for _ in range(8):
            game.tick(Sample())
        last = game.view.frame
        game.command("pause")
        game.command("switch")
        assert np.array_equal(game.tick(Sample()).frame, last)
        game.command("pause")
        dreamt = [game.tick(Sample()).frame for _ in range(3)]
        assert game.facts()["side"] == "dream" and not np.array_equal(dreamt[0], dreamt[-1])
        game.command("switch")
        game.command("pause")
        assert np.array_equal(game.tick(Sample()).frame, last)
    finally:
        game.close()
