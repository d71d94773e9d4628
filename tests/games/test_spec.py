"""Game specs are plain data that a world can carry."""

import json

import pytest

from nfd_gym.actions import KeysAndMouse
from nfd_gym.games import RECORDERS
from nfd_gym.games.crafter.spec import SPEC as CRAFTER
from nfd_gym.games.episodes import next_player
from nfd_gym.games.pusht.spec import SPEC as PUSHT
from nfd_gym.games.spec import FirstPerson, GameSpec
from nfd_gym.settings import SettingsError

CAMERA = GameSpec(
    "Luanti-v0", KeysAndMouse(), 20.0, (192, 112), FirstPerson(72.0, 1.625, 4.0, 1.0), ("dig",)
)


@pytest.mark.parametrize("spec", [CRAFTER, PUSHT, CAMERA], ids=lambda spec: spec.id)
def test_a_spec_survives_json(spec):
    text = json.dumps(spec.to_json())
    again = GameSpec.from_json(json.loads(text))
    assert json.dumps(again.to_json()) == text
    assert (again.camera, again.size, again.fps) == (spec.camera, spec.size, spec.fps)
    assert again.codec.width == spec.codec.width


def test_wrong_keys_are_named():
    data = CAMERA.to_json()
    with pytest.raises(SettingsError, match="'evnts'; the nearest is 'events'"):
        GameSpec.from_json({**data, "evnts": []})
    del data["probes"]
    with pytest.raises(SettingsError, match="'probes' is missing"):
        GameSpec.from_json(data)


def test_every_small_game_has_a_recorder():
    assert {CRAFTER.id, PUSHT.id} <= set(RECORDERS)


def test_shares_hold_at_any_length():
    shares, done = {"a": 0.5, "b": 0.3, "c": 0.2}, {}
    for turn in range(300):
        player = next_player(shares, done)
        done[player] = done.get(player, 0) + (7, 13, 40)["abc".index(player)]
        total = sum(done.values())
        assert all(abs(done.get(p, 0) - share * total) <= 41 for p, share in shares.items()), turn
