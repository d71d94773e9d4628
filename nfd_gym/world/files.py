"""A world on disk: one folder with everything that it needs. Strict, and no pickle is ever read.

world.json   format, configs of all parts, splits, provenance, the game's spec, names and
             checksums of files
PART.HASH.safetensors   tokenizer, denoiser, and tensors of memory and body where they have some
starts/      start clips in the store format of nfd_gym.data
README.md    the card
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.torch import save as pack
from torch import Tensor, nn

from nfd_gym import settings
from nfd_gym.actions import codec_from_json
from nfd_gym.data import DataError
from nfd_gym.data.files import PART, commit, write_text
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig
from nfd_gym.world.drift import Drift
from nfd_gym.world.kinds import build_body, build_memory, network_of
from nfd_gym.world.settings import WorldError, WorldSettings
from nfd_gym.world.world import World

FORMAT = 2
KEYS = (
    "name", "codec", "tokenizer", "denoiser", "memory", "body", "settings", "drift", "splits",
    "provenance", "files",
)  # fmt: skip
HALVED = ("denoiser",)  # the tokenizer must stay a projection; others keep their own types


def save_world(world: World, path: str | Path, dtype: torch.dtype = torch.float16) -> None:
    """Write the folder, without start clips.

    Weights are named by their content and world.json is replaced last, in one move: killed at any
    moment, the folder holds the old world or the new one.
    """
    folder = Path(path)
    files: dict[str, dict[str, str]] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part, tensors in world.tensors():
            data = _packed(part, tensors, dtype if part in HALVED else None)
            digest = hashlib.sha256(data).hexdigest()
            name = f"{part}.{digest[:12]}.safetensors"
            if not _is_file_with(folder / name, data):
                temporary = folder / f".{name}{PART}"
                temporary.write_bytes(data)
                commit(temporary, folder / name)
            files[part] = {"file": name, "sha256": digest}
        described = {
            "format": FORMAT,
            "name": world.name,
            **world.describe(),
            "splits": dict(world.splits),
            "provenance": dict(world.provenance),
            "game": dict(world.game),
            "files": files,
        }
        write_text(folder / "world.json", json.dumps(described, indent=1) + "\n")
        kept = {entry["file"] for entry in files.values()}
        for stale in folder.glob("*.safetensors"):
            if stale.name not in kept:
                stale.unlink()
    except (OSError, DataError) as error:
        raise WorldError(
            f"{folder} cannot be written ({error}); free space or choose another folder."
        ) from error


def load_world(path: str | Path, device: str = "cpu") -> World:
    """Read a world folder, strictly: anything missing, changed or unknown is a WorldError.

    It starts no torch threads on the CPU, so that a process may still fork after it.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _load(Path(path), device)
    finally:
        torch.set_num_threads(threads)


def _load(folder: Path, device: str) -> World:
    described = _read_json(folder)
    try:
        files = described["files"]
        parts = {part: _read(folder, part, entry, device) for part, entry in files.items()}
        memory, body = described["memory"], described["body"]
        code = _module(Tokenizer, TokenizerConfig, "tokenizer", described, parts)
        return World(
            name=str(described["name"]),
            codec=codec_from_json(described["codec"]),
            tokenizer=code,
            denoiser=_module(
                *network_of(described.get("network", "denoiser")), "denoiser", described, parts
            ),
            memory=build_memory(memory["kind"], memory["config"], parts.get("memory", {}), code),
            body=build_body(body["kind"], body["config"], parts.get("body", {})),
            settings=settings.from_json(WorldSettings, described["settings"], "settings"),
            drift=None
            if described["drift"] is None
            else settings.from_json(Drift, described["drift"], "drift"),
            splits={key: list(names) for key, names in described["splits"].items()},
            provenance=dict(described["provenance"]),
            game=dict(described.get("game", {})),  # older worlds do not tell
            path=folder,
        )
    except (
        KeyError, TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError,
    ) as error:  # fmt: skip
        if isinstance(error, WorldError) and str(folder) in str(error):
            raise
        what = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
        first = " ".join(what.split())[:300]
        raise WorldError(
            f"{folder / 'world.json'}: {first}; restore the world from its source."
        ) from error


def read_card(path: str | Path) -> dict[str, Any]:
    """What world.json says; the weights are not read."""
    return _read_json(Path(path))


def _module(
    cls: Any, config: Any, part: str, described: Mapping[str, Any],
    parts: Mapping[str, dict[str, Tensor]],
) -> Any:  # fmt: skip
    """A frozen net; built without memory and given its weights, so nothing is initialised."""
    with torch.device("meta"):
        net: nn.Module = cls(settings.from_json(config, described[part], part))
    try:
        net.load_state_dict(parts[part], strict=True, assign=True)
    except RuntimeError as error:
        name = described["files"][part]["file"]
        raise ValueError(f"{name} does not fit world.json ({error})") from error
    return net.eval().requires_grad_(False)


def _packed(part: str, tensors: Mapping[str, Tensor], dtype: torch.dtype | None) -> bytes:
    out = {}
    for key, value in tensors.items():
        stored = value.to(dtype) if dtype is not None and value.is_floating_point() else value
        out[key] = stored.detach().cpu().contiguous()
        if dtype is not None and not out[key].isfinite().all():
            raise WorldError(
                f"{part}: weight {key} is not finite as {dtype}; train with a lower learning rate "
                "or save with dtype=torch.float32."
            )
    return pack(out)


def _is_file_with(file: Path, data: bytes) -> bool:
    return file.is_file() and file.stat().st_size == len(data) and file.read_bytes() == data


def _read(folder: Path, part: str, entry: Mapping[str, str], device: str) -> dict[str, Tensor]:
    file = folder / Path(entry["file"]).name
    if not file.is_file():
        raise WorldError(f"{file} is missing; restore the world from its source.")
    data = file.read_bytes()
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise WorldError(
            f"{file} is damaged (its checksum differs from world.json); restore it from its source."
        )
    try:
        arrays = load_arrays(data)
    except SafetensorError as error:
        raise WorldError(f"{file} is damaged ({error}); restore it from its source.") from error
    return {key: _tensor(value, part in HALVED, device) for key, value in arrays.items()}


def _tensor(value: NDArray[Any], widen: bool, device: str) -> Tensor:
    """`widen`: float16 becomes float32. By numpy, which starts no threads."""
    wide = value.astype(np.float32) if widen and value.dtype == np.float16 else np.array(value)
    return torch.from_numpy(wide).to(device)


def _read_json(folder: Path) -> dict[str, Any]:
    file = folder / "world.json"
    if not file.is_file():
        raise WorldError(
            f"no world at {folder} (it has no world.json); train one with `nfd-gym train` or give "
            "the folder of one."
        )
    try:
        described = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise WorldError(
            f"{file} is not JSON ({error}); restore the world from its source."
        ) from error
    form = described.get("format") if isinstance(described, dict) else None
    if type(form) is not int or form < 1:
        raise WorldError(
            f"{file} is no world description (it has no format number); give the folder of a world."
        )
    if form != FORMAT:
        fix = "upgrade with `pip install -U nfd_gym`" if form > FORMAT else "export the world again"
        raise WorldError(f"{file} has format {form}, this nfd_gym reads format {FORMAT}; {fix}.")
    assert isinstance(described, dict)
    for key in KEYS:
        if key not in described:
            raise WorldError(
                f"{file}: the key {key!r} is missing; restore the world from its source."
            )
    return described
