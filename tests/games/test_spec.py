"""Game specs are plain data that a world can carry."""

import json
from dataclasses import replace

import pytest

from nfd_gym.actions import KeysAndMouse
from nfd_gym.data import open_source
from nfd_gym.data.store import ClipWriter, spec_of, writer_for
from nfd_gym.games import RECORDERS
from nfd_gym.games.crafter.spec import SPEC as CRAFTER
from nfd_gym.games.episodes import next_player
from nfd_gym.games.luanti.spec import SPEC as ISLAND
from nfd_gym.games.pusht.spec import SPEC as PUSHT
from nfd_gym.games.spec import GameSpec
from nfd_gym.settings import SettingsError
from nfd_gym.shipped import shipped
from nfd_gym.world import load_world, save_world
from tests.conftest import make_texture_clip


@pytest.mark.parametrize("spec", [CRAFTER, PUSHT, ISLAND], ids=lambda spec: spec.id)
def test_a_spec_survives_json(spec):
    text = json.dumps(spec.to_json())
    again = GameSpec.from_json(json.loads(text))
    assert json.dumps(again.to_json()) == text
    assert (again.camera, again.size, again.fps) == (spec.camera, spec.size, spec.fps)
    assert again.codec.width == spec.codec.width


def test_wrong_keys_are_named():
    data = ISLAND.to_json()
    with pytest.raises(SettingsError, match="'evnts'; the nearest is 'events'"):
        GameSpec.from_json({**data, "evnts": []})
    del data["probes"]
    with pytest.raises(SettingsError, match="'probes' is missing"):
        GameSpec.from_json(data)


def test_footage_carries_the_spec_into_a_world(tiny_world, tmp_path):
    """Recording -> store -> import -> world folder: evaluation can ask what applies."""
    clip = make_texture_clip(0, "one")
    store = ClipWriter(tmp_path / "store", KeysAndMouse(), fps=20.0, size=(32, 48),
                       spec=ISLAND.to_json())  # fmt: skip
    store.write(clip)
    source = open_source(tmp_path / "store")
    writer_for(tmp_path / "copy", source).write(clip)
    told = spec_of(open_source(tmp_path / "copy"))
    save_world(replace(tiny_world, game=told), tmp_path / "world")
    world = load_world(tmp_path / "world")
    assert GameSpec.of_world(world).to_json() == ISLAND.to_json()
    assert world.fingerprint == tiny_world.fingerprint, "what the game was draws no other frame"
    assert GameSpec.of_world(tiny_world) is None


def test_every_small_game_has_a_recorder():
    assert {CRAFTER.id, PUSHT.id} <= set(RECORDERS)


def test_shares_hold_at_any_length():
    shares, done = {"a": 0.5, "b": 0.3, "c": 0.2}, {}
    for turn in range(300):
        player = next_player(shares, done)
        done[player] = done.get(player, 0) + (7, 13, 40)["abc".index(player)]
        total = sum(done.values())
        assert all(abs(done.get(p, 0) - share * total) <= 41 for p, share in shares.items()), turn


@pytest.mark.parametrize("folder", shipped("worlds").values(), ids=lambda folder: folder.name)
def test_shipped_worlds_are_as_their_game_says(folder):
    world = load_world(folder)
    spec = GameSpec.of_world(world)
    if spec is not None:
        assert spec.size == world.size and spec.fps == world.settings.fps
        assert spec.codec.width == world.codec.width
        assert (spec.camera is None) == (not world.needs_poses)
