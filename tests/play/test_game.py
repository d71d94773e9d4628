"""The game without any display: what keys do to the picture, time travel, TAB, and the figures."""

import itertools

import numpy as np
import pytest
from scroll_world import shift_of

from nfd_gym.play.inputs import Sample


def hold(*keys, **motion):
    return Sample(held=frozenset(keys), **motion)


def test_turning_left_turns_the_picture(make_game):
    game = make_game()
    before = game.view.frame
    after = game.tick(hold("left")).frame
    assert shift_of(before, after) == (-4, 0)
    assert shift_of(after, game.tick(hold(dx=40.0)).frame) == (6, 0)  # 40 pixels are 6 degrees


def test_walking_changes_the_picture_and_nothing_is_pressed_afterwards(make_game):
    game = make_game()
    before = game.view.frame
    assert shift_of(before, game.tick(hold("w")).frame) == (0, -2)
    still = game.view.frame
    assert np.array_equal(still, game.tick(hold()).frame)


def test_pause_stops_the_world_and_a_single_step_takes_one(make_game):
    game = make_game()
    game.command("pause")
    before = game.view.frame
    assert np.array_equal(game.tick(hold("w")).frame, before)
    game.command("single step")
    once = game.tick(hold("w")).frame
    assert shift_of(before, once) == (0, -2)
    assert np.array_equal(game.tick(hold("w")).frame, once)
    game.command("pause")
    assert shift_of(once, game.tick(hold("w")).frame) == (0, -2)


def test_save_then_load_shows_the_saved_picture(make_game):
    game = make_game()
    game.command("load")
    assert "nothing is saved" in game.tick(hold()).facts["toast"]
    game.tick(hold("w"))
    saved = game.view.frame
    game.command("save")
    game.tick(hold("right"))
    assert not np.array_equal(game.view.frame, saved)
    game.command("load")
    assert shift_of(saved, game.tick(hold("w")).frame) == (0, -2)  # loaded, then one step on


def test_undo_goes_back_one_second_and_says_when_it_cannot(make_game):
    game = make_game()
    start = game.view.frame
    for _ in range(20):
        game.tick(hold("w"))
    game.command("undo")
    game.command("pause")
    assert np.array_equal(game.tick(hold()).frame, start)
    game.command("undo")
    assert "nothing to undo" in game.tick(hold()).facts["toast"]


def test_a_new_place_has_the_next_seed_and_the_same_seed_is_the_same_place(make_game):
    first, second = make_game(), make_game()
    for game in (first, second):
        game.command("pause")
        game.command("new place")
        game.tick(hold())
    assert first.facts()["seed"] == 1
    assert np.array_equal(first.view.frame, second.view.frame)


def test_m_hands_over_to_the_script_and_back(make_game):
    game = make_game()
    game.command("player")
    frames = [game.tick(hold()).frame for _ in range(30)]
    assert game.facts()["player"] == "scripted"
    assert sum(not np.array_equal(a, b) for a, b in itertools.pairwise(frames)) > 10
    game.command("player")
    still = game.tick(hold()).frame
    assert game.facts()["player"] == "human"
    assert np.array_equal(still, game.tick(hold()).frame)


def test_tab_keeps_the_last_frames_and_tab_again_returns(make_game):
    game = make_game(twin=True)
    real = game.twin.real
    for keys in [("w",), ("right",), ("w", "left")] * 3:
        game.tick(hold(*keys))
    frames, actions = (np.stack([getattr(p, n) for p in real.past]) for n in ("frame", "action"))
    last = game.view.frame
    game.command("pause")
    game.command("switch")
    shown = game.tick(hold())
    assert np.array_equal(shown.frame, last) and shown.facts["side"] == "dream"
    began = game.twin.dream.env.began
    assert np.array_equal(began["frames"], frames) and np.array_equal(began["actions"], actions)
    assert len(frames) == 10 and not actions[0].any()  # the start frame and its no-op, then nine
    game.command("pause")
    game.tick(hold("w"))
    assert shift_of(last, game.view.frame) == (0, -2)
    game.command("switch")
    game.command("pause")
    back = game.tick(hold())
    assert back.facts["side"] == "real" and np.array_equal(back.frame, last)


def test_tab_twice_continues_from_where_the_real_game_then_is(make_game):
    game = make_game(twin=True)
    game.command("switch")
    game.tick(hold("w"))
    game.command("switch")
    game.tick(hold("right"))
    last = game.view.frame
    game.command("switch")
    game.command("pause")
    assert np.array_equal(game.tick(hold()).frame, last)


def test_the_real_game_says_what_it_cannot_do(make_game):
    game = make_game(blind=True)
    for command, words in [("save", "cannot be saved"), ("undo", "back in time")]:
        game.command(command)
        assert words in game.tick(hold()).facts["toast"]
    game.command("switch")
    assert "--twin" in game.tick(hold()).facts["toast"]


def test_commands_cannot_pile_up_and_unknown_ones_are_ignored(make_game):
    game = make_game()
    for _ in range(1000):
        game.command("new place")
    game.command("format the disk")
    assert len(game.commands) <= 32


@pytest.mark.parametrize("seed", [0, 1])
def test_two_games_with_one_seed_and_one_script_are_equal(make_game, seed):
    frames = []
    for _ in range(2):
        game = make_game()
        game.player = game.players[1]
        game.player.rng = np.random.default_rng(seed)
        frames.append([game.tick(hold()).frame for _ in range(20)])
    assert np.array_equal(*frames)


def test_guests_cannot_fill_the_disk(make_game):
    """F2 from a browser is a PNG per message, and V records for as long as it is left on."""
    game = make_game()
    game.most_stills, game.most_frames = 2, 10
    for _ in range(4):
        game.command("screenshot")
        game.tick(hold())
    assert len(list(game.folder.glob("still-*.png"))) == 2
    assert "start play again" in game.facts()["toast"]
    game.command("record")
    for _ in range(20):
        game.tick(hold("w"))
    assert game.recorder is None and game.recorded == 10
    game.command("record")
    assert "start play again" in game.tick(hold()).facts["toast"] and game.recorder is None


def test_the_remembered_map_is_shown_beside_the_picture(make_game, monkeypatch):
    game = make_game()
    game.command("map")
    assert "remembers no map" in game.tick(hold()).facts["toast"]
    chart = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    monkeypatch.setattr(type(game.stage), "map", lambda stage: chart)
    game.command("map")
    shown, frame = game.tick(hold()).frame, game.view.frame
    height, width = frame.shape[:2]
    assert shown.shape == (height, width + 4 + 2 * height, 3)
    assert np.array_equal(shown[:, :width], frame)
    assert np.array_equal(shown[0, width + 4], chart[0, 0])
    assert np.array_equal(shown[-1, -1], chart[-1, -1])
    game.command("map")
    assert game.tick(hold()).frame.shape == frame.shape
