"""The scrolling world, importable by tests and by the processes they start."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")


@pytest.fixture
def scroll():
    """ScrollEnv's class."""
    from scroll_world import ScrollEnv

    return ScrollEnv


@pytest.fixture
def make_game(scroll, tmp_path):
    """Builds a Game on the scrolling world with a human at the keys."""
    from nfd_gym.play.bindings import Bindings
    from nfd_gym.play.controls import make_controls
    from nfd_gym.play.game import Game
    from nfd_gym.play.players import Human, scripted_player
    from nfd_gym.play.stage import Stage, Twin

    games = []

    def build(twin=False, **settings):
        env = scroll(**settings)
        stage = Stage(env, "scroll")
        if twin:
            stage = Twin(Stage(scroll(**settings), "scroll", "real"), stage)
        rng = np.random.default_rng(0)
        human = Human(make_controls(env.codec, Bindings()))
        game = Game(stage, [human, scripted_player(env.codec, rng)], folder=tmp_path / "plays")
        games.append(game)
        return game

    yield build
    for game in games:
        game.close()


@pytest.fixture
def play_process():
    """Starts `python -m nfd_gym.play` on the scrolling world; whatever still runs is ended."""
    import subprocess

    started = []

    def start(*arguments, env=None, **options):
        paths = [str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        environment.update(env or {})
        environment = {key: value for key, value in environment.items() if value is not None}
        command = [sys.executable, "-u", "-m", "nfd_gym.play", *map(str, arguments)]
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
