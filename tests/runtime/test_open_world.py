"""Worlds by folder or name, loaded once."""

from dataclasses import replace
from pathlib import Path

import pytest

from nfd_gym.runtime import open_world as module
from nfd_gym.runtime.open_world import find_world, open_world
from nfd_gym.shipped import ASSETS, shipped
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


@pytest.fixture
def ships(tiny_world_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that ships one world, called "tiny"."""
    monkeypatch.setattr(module, "shipped", lambda kind: {"tiny": tiny_world_path})
    return tiny_world_path


def test_shipped_worlds_have_names(ships: Path) -> None:
    assert open_world("tiny") is open_world(ships)
    with pytest.raises(WorldError, match="did you mean 'tiny'"):
        open_world("tyni")


def test_a_folder_of_the_same_name_does_not_replace_a_shipped_world(
    tiny_world: World, ships: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_world(replace(tiny_world, name="impostor"), tmp_path / "tiny")
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_world("tiny") == ships
    assert find_world("./tiny") == Path("tiny") and find_world(Path("tiny")) == Path("tiny")
    assert find_world("mine") == Path("mine")
    assert open_world("./tiny").name == "impostor"


def test_worlds_are_looked_for_inside_the_package_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another project's assets folder beside the installed package is not ours."""
    assert all(ASSETS in path.parents for path in shipped("worlds").values())
    monkeypatch.setattr(module, "shipped", lambda kind: {})
    with pytest.raises(WorldError, match="ships none"):
        find_world("minecraft-island")
