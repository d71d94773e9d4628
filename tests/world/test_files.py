"""A world is a folder that is read exactly or refused with a sentence."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from nfd_gym.model.heads import HeadsConfig, RewardHeads
from safetensors.torch import load_file, save_file

from nfd_gym.actions import Continuous, KeysAndMouse
from nfd_gym.world import WorldError, WorldModel, WorldSettings


@pytest.fixture
def folder(tiny_world_path: Path, tmp_path: Path) -> Path:
    """A copy of the tiny world to damage."""
    return Path(shutil.copytree(tiny_world_path, tmp_path / "world"))


def weights(world: WorldModel) -> dict[str, torch.Tensor]:
    parts = {"tokenizer": world.tokenizer, "denoiser": world.denoiser}
    return {f"{n}.{k}": v for n, part in parts.items() for k, v in part.state_dict().items()}


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    file = folder / "world.json"
    described = json.loads(file.read_text())
    change(described)
    file.write_text(json.dumps(described))


def test_what_was_saved_is_loaded(tiny_world: WorldModel, tiny_world_path: Path) -> None:
    """The fixture's weights fit fp16, so the round trip is exact."""
    world = WorldModel.load(tiny_world_path)
    before, after = weights(tiny_world), weights(world)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert after["denoiser.tokens_in.weight"].dtype == torch.float32
    assert world.codec.to_json() == tiny_world.codec.to_json()
    assert world.settings == tiny_world.settings and world.splits == tiny_world.splits
    assert world.size == (48, 32) and not any(p.requires_grad for p in world.denoiser.parameters())
    starts = world.starts()
    assert sorted(starts.names) == sorted(n for names in world.splits.values() for n in names)


def test_weights_are_stored_at_half_precision(tiny_world_path: Path) -> None:
    stored = load_file(tiny_world_path / "denoiser.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}


def test_a_saved_world_saves_the_same(tiny_world_path: Path, tmp_path: Path) -> None:
    WorldModel.load(tiny_world_path).save(tmp_path)
    for name in ("world.json", "tokenizer.safetensors", "denoiser.safetensors"):
        assert (tmp_path / name).read_bytes() == (tiny_world_path / name).read_bytes()
    assert not list(tmp_path.glob(".*")), "nothing unfinished stays behind"


def test_the_fingerprint_is_of_weights_and_settings(tiny_world_path: Path, tmp_path: Path) -> None:
    world = WorldModel.load(tiny_world_path)
    assert len(world.fingerprint) == 16
    replace(world, name="other", provenance={"by": "us"}).save(tmp_path / "renamed")
    assert WorldModel.load(tmp_path / "renamed").fingerprint == world.fingerprint
    replace(world, settings=WorldSettings(sigmas=(1.0, 0.5))).save(tmp_path / "settings")
    changed = WorldModel.load(tmp_path / "settings")
    assert changed.fingerprint != world.fingerprint and changed.settings.sigmas == (1.0, 0.5)
    with torch.no_grad():
        changed.denoiser.tokens_out.bias[0] += 0.25
    replace(changed, settings=world.settings).save(tmp_path / "weights")
    assert WorldModel.load(tmp_path / "weights").fingerprint != world.fingerprint


def test_heads_that_look_beyond_the_picture_are_refused(tiny_world: WorldModel) -> None:
    with pytest.raises(WorldError, match="look at 64 pixels, its picture has 32; train them"):
        replace(tiny_world, heads=RewardHeads(HeadsConfig(size=64, hidden=8)))


FILES = ("world.json", "tokenizer.safetensors", "denoiser.safetensors")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "one bit", "noise", "swapped"])
def test_every_damaged_file_is_named(folder: Path, name: str, damage: str) -> None:
    file = folder / name
    content = file.read_bytes()
    middle = len(content) // 2
    if damage == "missing":
        file.unlink()
    elif damage == "swapped":
        other = FILES[(FILES.index(name) + 1) % len(FILES)]
        file.write_bytes((folder / other).read_bytes())
    else:
        flipped = content[:middle] + bytes([content[middle] ^ 0x80]) + content[middle + 1 :]
        damaged = {
            "empty": b"", "truncated": content[:middle], "one bit": flipped, "noise": b"\xff" * 999
        }  # fmt: skip
        file.write_bytes(damaged[damage])
    with pytest.raises(WorldError) as refused:
        WorldModel.load(folder)
    assert name in str(refused.value) and str(folder) in str(refused.value)
    assert re.search(r"restore|train one with|give the folder", str(refused.value))


EDITS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda d: d.update(format=99), "format 99, this nfd_gym reads up to 1; upgrade"),
    (lambda d: d.update(format="1"), "no format number"),
    (lambda d: d.update(format=0), "no format number"),
    (lambda d: d["denoiser"].update(widht=3), "unknown key 'widht'; the nearest is 'width'"),
    (lambda d: d["denoiser"].update(width="32"), "denoiser.width: '32' is not int"),
    (lambda d: d["denoiser"].update(width=48), "denoiser.safetensors does not fit world.json"),
    (lambda d: d["denoiser"].update(heads=0), "restore"),
    (lambda d: d["denoiser"].update(width=-32), "restore"),
    (lambda d: d["denoiser"].update(form="w"), "form must be 'x', 'anchored' or 'v'"),
    (lambda d: d["denoiser"].update(tokens_h=3), r"token grid is \(3, 3\) but .* give \(2, 3\)"),
    (lambda d: d["denoiser"].update(action_width=7), "action width is 7 but .* give 25"),
    (lambda d: d["tokenizer"].update(channels=9), "number of channels is 8 but .* give 9"),
    (lambda d: d["tokenizer"].update(height=33), "48x33 is no multiple of patch 16"),
    (lambda d: d["codec"].update(kind="keys"), "did you mean 'keys_and_mouse'"),
    (lambda d: d["codec"].update(fov_y=None), "has no camera; train with --set"),
    (lambda d: d["codec"].update(fov_y="wide"), "restore"),
    (lambda d: d["settings"].update(sigmas=[0.5]), "sigmas must fall from 1.0"),
    (lambda d: d["settings"].update(sigmas=[1.0, 1.0]), "sigmas must fall from 1.0"),
    (lambda d: d["settings"].update(fps=0.0), "fps must be positive"),
    (lambda d: d["settings"].update(context="clean"), "context must be 'noisy' or 'exact'"),
    (lambda d: d["sha256"].pop("denoiser"), "the key 'denoiser' is missing"),
    (lambda d: d.update(splits=["train"]), "restore"),
    (lambda d: d.update(heads=3), "restore"),
    (lambda d: d.update(provenance=3), "restore"),
]


@pytest.mark.parametrize(("change", "message"), EDITS)
def test_every_wrong_entry_is_explained(
    folder: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    edit(folder, change)
    with pytest.raises(WorldError, match=message) as refused:
        WorldModel.load(folder)
    assert re.search("restore|upgrade|train|bundle|give", str(refused.value)), "it names a way out"


def test_every_missing_entry_is_named(tiny_world_path: Path, tmp_path: Path) -> None:
    described = json.loads((tiny_world_path / "world.json").read_text())
    for key in described:
        (tmp_path / "world.json").write_text(
            json.dumps({k: v for k, v in described.items() if k != key})
        )
        with pytest.raises(WorldError, match=f"'{key}' is missing|no format number"):
            WorldModel.load(tmp_path)


def test_weights_of_another_world_are_refused_even_with_their_checksum(folder: Path) -> None:
    import hashlib

    file = folder / "denoiser.safetensors"
    stored = load_file(file)
    stored["blocks.0.qkv.weight"] = stored["blocks.0.qkv.weight"][:-1].contiguous()
    save_file(stored, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    edit(folder, lambda d: d["sha256"].update(denoiser=digest))
    with pytest.raises(WorldError, match=r"denoiser\.safetensors does not fit world\.json"):
        WorldModel.load(folder)


def test_no_world_at_all(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere", Path(__file__)):
        with pytest.raises(WorldError, match=r"no world at .*train one with `python -m nfd_gym"):
            WorldModel.load(place)


def test_parts_that_do_not_fit_are_refused(tiny_world: WorldModel) -> None:
    with pytest.raises(WorldError, match=r"action width is 25 but .* give 2; bundle runs"):
        replace(tiny_world, codec=Continuous(2))
    with pytest.raises(WorldError, match="has no camera"):
        replace(tiny_world, codec=KeysAndMouse(camera=None))


def test_a_killed_save_is_no_world(
    tiny_world: WorldModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nfd_gym.world

    def killed(path: Path, text: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(nfd_gym.world, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        tiny_world.save(tmp_path)
    with pytest.raises(WorldError, match="no world at"):
        WorldModel.load(tmp_path)


def test_weights_that_are_not_finite_are_not_saved(tiny_world_path: Path, tmp_path: Path) -> None:
    world = WorldModel.load(tiny_world_path)
    with torch.no_grad():
        world.denoiser.tokens_out.bias[0] = 1e6  # no fp16 number
    with pytest.raises(
        WorldError, match=r"weight tokens_out\.bias is not finite as torch\.float16"
    ):
        world.save(tmp_path)
    assert not (tmp_path / "world.json").exists()
    world.save(tmp_path, dtype=torch.float32)
    assert WorldModel.load(tmp_path).denoiser.tokens_out.bias[0] == 1e6


def test_a_folder_that_cannot_be_written_is_named(tiny_world: WorldModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorldError, match=r"file cannot be written .*choose another folder"):
        tiny_world.save(tmp_path / "file")


def test_a_world_without_starts_says_so(folder: Path) -> None:
    shutil.rmtree(folder / "starts")
    with pytest.raises(WorldError, match="has no start clips; pass reset"):
        WorldModel.load(folder).starts()
