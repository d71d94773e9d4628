"""Worlds by folder or name, loaded once."""

from dataclasses import replace
from pathlib import Path

import pytest

from nfd_gym.runtime import open_world as module
from nfd_gym.runtime.open_world import open_world
from nfd_gym.world import World, WorldError, save_world


def test_one_copy_of_the_weights_however_many_ask(tiny_world_path: Path) -> None:
    world = open_world(tiny_world_path)
    assert open_world(str(tiny_world_path)) is world
    assert open_world(world) is world


def test_a_changed_world_is_loaded_again(tiny_world: World, tmp_path: Path) -> None:
    save_world(tiny_world, tmp_path / "w")
    first = open_world(tmp_path / "w")
    description = tmp_path / "w" / "world.json"
    description.write_text(description.read_text().replace('"tiny-test"', '"renamed"'))
    assert open_world(tmp_path / "w").name == "renamed"
    assert first.name == "tiny-test"


def test_a_shipped_name_is_never_a_folder_that_lies_about(
    tiny_world: World, tiny_world_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "shipped", lambda kind: {"world": tiny_world_path})
    save_world(replace(tiny_world, name="impostor"), tmp_path / "world")
    monkeypatch.chdir(tmp_path)
    assert open_world("world") is open_world(tiny_world_path)
    assert open_world("./world").name == "impostor"
    with pytest.raises(WorldError, match="did you mean 'world'"):
        open_world("wrld")
    monkeypatch.setattr(module, "shipped", lambda kind: {})
    with pytest.raises(WorldError, match="this installation ships no world"):
        open_world("wrld")
