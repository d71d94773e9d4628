"""Worlds by folder or name, loaded once."""

from pathlib import Path

import pytest

from nfd_gym.runtime import open_world as module
from nfd_gym.runtime.open_world import open_world
from nfd_gym.world import WorldError, WorldModel


def test_one_copy_of_the_weights_however_many_ask(tiny_world_path: Path) -> None:
    world = open_world(tiny_world_path)
    assert open_world(str(tiny_world_path)) is world
    assert open_world(world) is world


def test_a_changed_world_is_loaded_again(tiny_world: WorldModel, tmp_path: Path) -> None:
    tiny_world.save(tmp_path / "w")
    first = open_world(tmp_path / "w")
    description = tmp_path / "w" / "world.json"
    description.write_text(description.read_text().replace('"tiny-test"', '"renamed"'))
    assert open_world(tmp_path / "w").name == "renamed"
    assert first.name == "tiny-test"


def test_shipped_worlds_have_names(tiny_world_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_homes", lambda: [tiny_world_path.parent])
    assert open_world(tiny_world_path.name) is open_world(tiny_world_path)
    with pytest.raises(WorldError, match=f"did you mean '{tiny_world_path.name}'"):
        open_world("wrld")
