"""The scripted player: deterministic, human-like in its mix, and able to play blind."""

import itertools
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Space

from nfd_gym.actions import KeysAndMouse
from nfd_gym.games.luanti.player import Player
from nfd_gym.games.luanti.senses import Senses
from nfd_gym.keyboard import KEY_INDEX

OPEN: dict[str, Any] = {
    "position": (0.0, 9.0, 0.0), "yaw": 0.0, "pitch": 5.0, "on_ground": True, "in_liquid": False,
    "biome": "grassland",
    "surroundings": {
        "kinds": "ffffffff", "distances": [7] * 8, "pointed": "", "reach": 9.0, "trunk": None,
    },
}  # fmt: skip


def play(seed: int, ticks: int, **options: Any) -> list[dict[str, Any]]:
    player = Player(seed, **options)
    return [player.act() for _ in range(ticks)]


def stack(actions: list[dict[str, Any]]) -> np.ndarray:
    codec = KeysAndMouse("minerl")
    return np.stack([codec.encode(action) for action in actions])


@pytest.fixture(scope="module")
def minutes() -> np.ndarray:
    """(T, A) of eight blind players, 75 s each: ten minutes of play."""
    return np.concatenate([stack(play(seed, 1500)) for seed in range(8)])


def test_same_seed_same_play_other_seed_other_play() -> None:
    assert np.array_equal(stack(play(3, 500)), stack(play(3, 500)))
    assert not np.array_equal(stack(play(3, 500)), stack(play(4, 500)))


def test_actions_are_in_the_minerl_space() -> None:
    space: Space[Any] = KeysAndMouse("minerl").space()
    for action in itertools.islice(play(1, 2000), 0, None, 7):
        assert set(action) == set(space.keys())  # type: ignore[attr-defined]
        KeysAndMouse("minerl").encode(action)


def test_keys_are_held_and_every_action_comes_up(minutes: np.ndarray) -> None:
    names = ("forward", "back", "left", "right", "jump", "sneak", "attack", "use")
    used = {name: float(minutes[:, KEY_INDEX[name]].mean()) for name in names}
    assert 0.25 < used["forward"] < 0.65
    assert min(used.values()) > 0.003, used
    keys = minutes[:, :23]
    assert (keys[1:] == keys[:-1]).all(axis=1).mean() > 0.85
    moving = (minutes[:, 23:] != 0).any(axis=1)
    assert 0.25 < moving.mean() < 0.7


def test_left_and_right_are_balanced_and_the_head_stays_up(minutes: np.ndarray) -> None:
    turn_down, turn_right = KeysAndMouse("minerl").rotation(minutes)
    right, left = (turn_right > 0).mean(), (turn_right < 0).mean()
    assert 0.7 < right / left < 1.4
    assert np.abs(turn_right).max() < 30
    for part in np.split(turn_down, 8):
        pitch = np.cumsum(part)
        assert pitch.min() > -62 and pitch.max() < 77


def test_without_building_it_never_digs_places_or_switches() -> None:
    codec = KeysAndMouse("minerl")
    forbidden = {"attack", "use", *(f"hotbar.{slot}" for slot in range(1, 10))}
    assert not any(forbidden & set(codec.keys(row)) for row in stack(play(2, 2000, build=False)))


def test_it_does_not_walk_into_a_cliff() -> None:
    edge = {**OPEN["surroundings"], "kinds": "cfffffff", "distances": [1, *[7] * 7]}
    cliff = {**OPEN, "surroundings": edge}
    players = [Player(seed, build=False) for seed in range(12)]
    ahead = [player.act(cliff)["forward"] for player in players for _ in range(100)]
    free = [player.act(OPEN)["forward"] for player in players for _ in range(100)]
    assert np.mean(ahead) < 0.35 * np.mean(free)


def test_bearing_is_how_far_to_turn_right() -> None:
    """yaw 0 faces +z and its right hand is -x, as in Minecraft."""
    senses = Senses()
    senses.update({**OPEN, "yaw": 0.0}, (0.0, 0.0))
    assert senses.bearing(0, 5) == pytest.approx(0)
    assert senses.bearing(-5, 0) == pytest.approx(90)
    assert senses.bearing(5, 0) == pytest.approx(-90)
    senses.update({**OPEN, "yaw": 90.0}, (0.0, 0.0))
    assert senses.bearing(-5, 0) == pytest.approx(0)


def test_blind_senses_follow_the_own_mouse() -> None:
    senses = Senses()
    for _ in range(10):
        senses.update(None, (4.0, -2.0))
    assert (senses.yaw, senses.pitch) == (pytest.approx(40), pytest.approx(-20))
    assert senses.blind and senses.hazard() is None and senses.trunk is None
