"""Training checkpoints: one safetensors file with tensors and a JSON header, written atomically."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nfd_gym.errors import UsageError
from nfd_gym.train.distributed import place


def save(path: Path, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Write `tensors` and `meta`; a kill at any moment leaves the old file or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    packed = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    save_file(packed, temporary, metadata={"meta": json.dumps(meta)})
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save` wrote; a truncated or foreign file is an error that names it."""
    if not path.is_file():
        raise UsageError(
            f"there is no checkpoint at {path}; name a run of `nfd-gym train` that has "
            "saved at least once"
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if "meta" not in header:
                raise UsageError(
                    f"{path} is no nfd_gym checkpoint (its header has no 'meta'); "
                    "name a run of `train`"
                )
            return {key: file.get_tensor(key) for key in file.keys()}, json.loads(header["meta"])
    except (SafetensorError, OSError) as error:
        raise UsageError(
            f"cannot read checkpoint {path}: {error}; delete it or restore a copy"
        ) from error


def pack_optimiser(
    optimiser: torch.optim.Optimizer, prefix: str
) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """An optimiser's state as flat tensors plus the settings of its parameter groups."""
    state = optimiser.state_dict()
    tensors = {
        f"{prefix}.{index}.{key}": torch.as_tensor(value)
        for index, entry in state["state"].items()
        for key, value in entry.items()
    }
    return tensors, state["param_groups"]


def unpack_optimiser(
    optimiser: torch.optim.Optimizer,
    tensors: dict[str, Tensor],
    groups: list[dict[str, Any]],
    prefix: str,
) -> None:
    """Restore what `pack_optimiser` gave."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(prefix + "."):
            index, key = name[len(prefix) + 1 :].split(".", 1)
            like = parameters[int(index)]
            shared = place(value, like) if value.shape == like.shape else value
            state.setdefault(int(index), {})[key] = shared
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def select(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under `prefix.`, without it."""
    return {
        key[len(prefix) + 1 :]: value
        for key, value in tensors.items()
        if key.startswith(prefix + ".")
    }
