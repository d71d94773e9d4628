"""A world is a folder that is read exactly or refused with a sentence."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nfd_gym.actions import Continuous
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.world import World, WorldError, WorldSettings, files, load_world, save_world
from tests.camera import TurningMemory


@pytest.fixture
def folder(tiny_world_path: Path, tmp_path: Path) -> Path:
    """A copy of the tiny world to damage."""
    return Path(shutil.copytree(tiny_world_path, tmp_path / "world"))


def weights(world: World) -> dict[str, torch.Tensor]:
    parts = {"tokenizer": world.tokenizer, "denoiser": world.denoiser}
    return {f"{n}.{k}": v for n, part in parts.items() for k, v in part.state_dict().items()}


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    file = folder / "world.json"
    described = json.loads(file.read_text())
    change(described)
    file.write_text(json.dumps(described))


def test_what_was_saved_is_loaded(tiny_world: World, tiny_world_path: Path) -> None:
    """The fixture's weights fit fp16, so the round trip is exact."""
    world = load_world(tiny_world_path)
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
    stored = load_file(file_of(tiny_world_path, "denoiser"))
    assert {value.dtype for value in stored.values()} == {torch.float16}


def test_a_saved_world_saves_the_same(tiny_world_path: Path, tmp_path: Path) -> None:
    save_world(load_world(tiny_world_path), tmp_path)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert names == sorted(f.name for f in tiny_world_path.iterdir() if f.is_file())
    for name in names:
        assert (tmp_path / name).read_bytes() == (tiny_world_path / name).read_bytes()


def test_memory_and_body_are_saved_by_kind_with_their_tensors(
    camera_world: World, tmp_path: Path
) -> None:
    atlas = torch.arange(5, dtype=torch.float16)
    plain = {f.name: getattr(camera_world, f.name) for f in fields(World)}
    world = World(**{**plain, "memory": TurningMemory(atlas)})
    save_world(world, tmp_path)
    again = load_world(tmp_path)
    assert isinstance(again.memory, TurningMemory) and again.memory.atlas is not None
    assert again.memory.atlas.dtype == torch.float16 and torch.equal(again.memory.atlas, atlas)
    assert again.body == camera_world.body and again.fingerprint == world.fingerprint
    assert again.fingerprint != camera_world.fingerprint, "the atlas is part of it"
    edit(tmp_path, lambda d: d["memory"].update(kind="turnin"))
    with pytest.raises(WorldError, match="no memory of kind 'turnin'; did you mean 'turning'"):
        load_world(tmp_path)


def test_the_fingerprint_is_of_content_and_never_carried_along(tiny_world: World) -> None:
    mark = tiny_world.fingerprint
    assert len(mark) == 16
    assert replace(tiny_world, name="other", provenance={"by": "us"}).fingerprint == mark
    changed = replace(tiny_world, settings=WorldSettings(sigmas=(1.0, 0.5)))
    assert changed.fingerprint != mark
    net = Denoiser(tiny_world.denoiser.config)
    net.load_state_dict(tiny_world.denoiser.state_dict())
    assert replace(tiny_world, denoiser=net).fingerprint == mark
    with torch.no_grad():
        net.tokens_out.bias[0] += 0.25
    assert replace(tiny_world, denoiser=net).fingerprint != mark


def test_overwriting_is_all_or_nothing(
    tiny_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed anywhere, the folder holds the old world or the new one."""
    save_world(tiny_world, tmp_path)
    net = Denoiser(tiny_world.denoiser.config)
    new = replace(tiny_world, denoiser=net, settings=WorldSettings(fps=10.0))
    calls = 0

    def killed(*given: object) -> None:
        nonlocal calls
        calls += 1
        if calls == deadline:
            raise KeyboardInterrupt
        real(*given)  # type: ignore[arg-type]

    real = files.commit
    monkeypatch.setattr(files, "commit", killed)
    monkeypatch.setattr("nfd_gym.data.files.commit", killed)
    for deadline in (1, 2):  # noqa: B007  the denoiser's file, world.json; the tokenizer's is there already
        calls = 0
        with pytest.raises(KeyboardInterrupt):
            save_world(new, tmp_path)
        assert load_world(tmp_path).fingerprint == tiny_world.fingerprint
    deadline = 0
    save_world(new, tmp_path)
    assert load_world(tmp_path).settings.fps == 10.0
    assert len(list(tmp_path.glob("*.safetensors"))) == 2, "what nobody names is removed"


FILES = ("world", "tokenizer", "denoiser")


def file_of(folder: Path, part: str) -> Path:
    return next(folder.glob(f"{part}.*"))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "one bit", "noise", "swapped"])
def test_every_damaged_file_is_named(folder: Path, name: str, damage: str) -> None:
    file = file_of(folder, name)
    content = file.read_bytes()
    middle = len(content) // 2
    if damage == "missing":
        file.unlink()
    elif damage == "swapped":
        other = FILES[(FILES.index(name) + 1) % len(FILES)]
        file.write_bytes(file_of(folder, other).read_bytes())
    else:
        flipped = content[:middle] + bytes([content[middle] ^ 0x80]) + content[middle + 1 :]
        damaged = {
            "empty": b"", "truncated": content[:middle], "one bit": flipped, "noise": b"\xff" * 999
        }  # fmt: skip
        file.write_bytes(damaged[damage])
    with pytest.raises(WorldError) as refused:
        load_world(folder)
    assert file.name in str(refused.value) and str(folder) in str(refused.value)
    assert re.search(r"restore|train one with|give the folder", str(refused.value))


EDITS: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda d: d.update(format=99), "format 99, this nfd_gym reads format 2; upgrade"),
    (lambda d: d.update(format=1), "format 1, .* export the world again"),
    (lambda d: d.update(format="1"), "no format number"),
    (lambda d: d.update(format=0), "no format number"),
    (lambda d: d["denoiser"].update(widht=3), "unknown key 'widht'; the nearest is 'width'"),
    (lambda d: d["denoiser"].update(width="32"), "denoiser.width: '32' is not int"),
    (lambda d: d["denoiser"].update(width=48), "denoiser.*safetensors does not fit world.json"),
    (lambda d: d["denoiser"].update(heads=0), "restore"),
    (lambda d: d["denoiser"].update(width=-32), "restore"),
    (lambda d: d["denoiser"].update(control_width=7), "does not fit world.json"),
    (lambda d: d["tokenizer"].update(height=33), "48x33 is no multiple of patch 16"),
    (lambda d: d["codec"].update(kind="keys"), "did you mean 'keys_and_mouse'"),
    (lambda d: d["codec"].update(fov_y="wide"), "restore"),
    (lambda d: d["memory"].update(kind="nun"), "no memory of kind 'nun'; did you mean 'none'"),
    (lambda d: d["memory"].update(config={"size": 3}), "restore"),
    (lambda d: d["body"].update(kind="leg"), "no body of kind 'leg'"),
    (lambda d: d["drift"].update(mean="far"), "drift.mean"),
    (lambda d: d["settings"].update(sigmas=[0.5]), "sigmas must fall from 1.0"),
    (lambda d: d["files"].pop("denoiser"), "the key 'denoiser' is missing"),
    (lambda d: d["files"]["denoiser"].update(file="../other"), "other is missing"),
    (lambda d: d.update(splits=["train"]), "restore"),
    (lambda d: d.update(provenance=3), "restore"),
]


@pytest.mark.parametrize(("change", "message"), EDITS)
def test_every_wrong_entry_is_explained(
    folder: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    edit(folder, change)
    with pytest.raises(WorldError, match=message) as refused:
        load_world(folder)
    assert re.search("restore|upgrade|train|export|give", str(refused.value)), "it names a way out"


def test_every_missing_entry_is_named(tiny_world_path: Path, tmp_path: Path) -> None:
    described = json.loads((tiny_world_path / "world.json").read_text())
    for key in described.keys() - {"game"}:  # of older worlds it is not known
        (tmp_path / "world.json").write_text(
            json.dumps({k: v for k, v in described.items() if k != key})
        )
        with pytest.raises(WorldError, match=f"'{key}' is missing|no format number"):
            load_world(tmp_path)


def test_weights_of_another_world_are_refused_even_with_their_checksum(folder: Path) -> None:
    import hashlib

    file = file_of(folder, "denoiser")
    stored = load_file(file)
    stored["blocks.0.qkv.weight"] = stored["blocks.0.qkv.weight"][:-1].contiguous()
    save_file(stored, file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    edit(folder, lambda d: d["files"]["denoiser"].update(sha256=digest))
    with pytest.raises(WorldError, match=r"denoiser\..*safetensors does not fit world\.json"):
        load_world(folder)


def test_no_world_at_all(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere", Path(__file__)):
        with pytest.raises(WorldError, match=r"no world at .*train one with `nfd-gym"):
            load_world(place)


def test_parts_that_do_not_fit_are_refused(tiny_world: World, camera_world: World) -> None:
    with pytest.raises(WorldError, match=r"control width is 25 but .* give 2; export parts"):
        replace(tiny_world, codec=Continuous(2))
    with pytest.raises(WorldError, match=r"number of channels is 8 but .* give 12"):
        replace(tiny_world, tokenizer=camera_world.tokenizer)
    with pytest.raises(WorldError, match=r"takes 3 masks and the memory gives 1"):
        replace(camera_world, memory=tiny_world.memory)
    with pytest.raises(WorldError, match=r"control width is 27 but"):
        replace(camera_world, body=tiny_world.body)


@pytest.mark.slow
def test_loading_runs_no_parallel_kernel(tiny_world_path: Path) -> None:
    """A process may still fork after it: OpenMP has started no thread."""
    code = (
        "import os, sys; os.environ['OMP_NUM_THREADS'] = '4'; "
        "from nfd_gym.world import load_world; w = load_world(sys.argv[1]); w.fingerprint; "
        "print(len(os.listdir('/proc/self/task')))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tiny_world_path)], capture_output=True, text=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}, check=True,
    )  # fmt: skip
    assert run.stdout.strip() == "1"


def test_weights_that_are_not_finite_are_not_saved(tiny_world_path: Path, tmp_path: Path) -> None:
    world = load_world(tiny_world_path)
    with torch.no_grad():
        world.denoiser.tokens_out.bias[0] = 1e6  # no fp16 number
    with pytest.raises(
        WorldError, match=r"weight tokens_out\.bias is not finite as torch\.float16"
    ):
        save_world(world, tmp_path)
    assert not (tmp_path / "world.json").exists()
    save_world(world, tmp_path, dtype=torch.float32)
    assert load_world(tmp_path).denoiser.tokens_out.bias[0] == 1e6


def test_a_folder_that_cannot_be_written_is_named(tiny_world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorldError, match=r"file cannot be written .*choose another folder"):
        save_world(tiny_world, tmp_path / "file")


def test_a_world_without_starts_says_so(folder: Path) -> None:
    shutil.rmtree(folder / "starts")
    with pytest.raises(WorldError, match="has no start clips; pass reset"):
        load_world(folder).starts()
