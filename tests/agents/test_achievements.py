"""The scripted player that sees pictures alone, in the game and in the dream."""

import numpy as np
import pytest

pytest.importorskip("crafter")

from agents.achievements import Dream, Game, episode, rows_of
from nfd_gym.games.crafter.env import CrafterEnv
from nfd_gym.games.crafter.readings import HudReader, view_of
from nfd_gym.games.crafter.seen import Seen
from nfd_gym.games.crafter.spec import ACHIEVEMENTS
from nfd_gym.games.crafter.tiles import TileReader


@pytest.fixture(scope="module")
def readers() -> tuple[HudReader, TileReader]:
    return HudReader.from_game(), TileReader()


def test_what_is_seen_is_what_the_game_says(readers: tuple[HudReader, TileReader]) -> None:
    env, seen = CrafterEnv(), Seen(*readers)
    frame, info = env.reset(seed=4)
    for action in (1, 1, 3, 5, 0):
        told = seen.look(frame, info["position"], info["achievements"])
        for name in ("inventory", "position", "facing", "asleep", "achievements"):
            assert told[name] == info[name]
        x, y = info["position"]
        assert np.array_equal(
            told["semantic"][x - 4 : x + 5, y - 3 : y + 4], view_of(info["semantic"], (x, y))
        )
        frame, _, _, _, info = env.step(action)
    assert 0 < (seen.map > 0).mean() < 0.1  # the rest of the map was never in view


def test_the_player_achieves_in_the_game_and_acts_in_the_dream(
    readers: tuple[HudReader, TileReader],
) -> None:
    names, steps = episode(Game(), 0, 60, readers)
    assert {"collect_wood", "place_table"} <= names and steps <= 60
    done = {"game": [(names, steps)], "dream": [episode(Dream("crafter"), 0, 3, readers)]}
    rows = list(rows_of(done))
    assert [row[0] for row in rows] == ["steps", "achievements", *ACHIEVEMENTS]
    assert rows[1][1] == len(names) and done["dream"][0][1] == 3
