"""Agents on disk: SB3's zip with one more member that lets it be read without pickle."""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from nfd_gym.agent import FACTS, FORMAT, WEIGHTS, read_facts
from nfd_gym.eval.results import portable

# What SB3 would pickle along although a resumed run begins new episodes.
LEFT_OUT = ("_last_obs", "_last_original_obs", "_last_episode_starts", "_last_lstm_states", "team")


def save_agent(model: BaseAlgorithm, path: Path, facts: dict[str, Any]) -> None:
    """Write the model as an SB3 zip, whole or not at all.

    `facts` say what the policy sees and does: algorithm, codec, size, stack, repeat, policy_kwargs,
    and whatever else is worth knowing.
    """
    weights, aliases = pack(model.policy.state_dict())
    known = {"format": FORMAT, **facts, "timesteps": model.num_timesteps, "aliases": aliases}
    data = io.BytesIO()
    model.save(data, exclude=LEFT_OUT)
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr(WEIGHTS, weights)
        archive.writestr(FACTS, json.dumps(known, indent=1))
    write_whole(path, data.getvalue())


def resume(model: BaseAlgorithm, path: Path) -> dict[str, Any]:
    """Take over the weights, the optimizer and the clock of a saved model; returns its facts."""
    facts = read_facts(path)
    model.set_parameters(str(path), device=model.device)  # tensors only: nothing is unpickled
    model.num_timesteps = int(facts["timesteps"])
    return facts


def publish(path: Path, out: Path) -> int:
    """A small copy to give away: half precision, without optimizer and pickles. Returns its bytes.

    It is for playing and scoring; SB3's own `load` cannot read it.
    """
    facts = read_facts(path)
    if "command" in facts:
        facts["command"] = portable(facts["command"])
    with zipfile.ZipFile(path) as archive:
        state = load(archive.read(WEIGHTS))
    halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(WEIGHTS, save(halves))
        archive.writestr(FACTS, json.dumps(facts, indent=1))
    write_whole(out, data.getvalue())
    return len(data.getvalue())


def pack(state: Mapping[str, Tensor]) -> tuple[bytes, dict[str, str]]:
    """Tensors as safetensors bytes, each storage once, and which other names share it.

    SB3 lists a shared feature extractor three times.
    """
    first: dict[tuple[int, Any], str] = {}
    aliases: dict[str, str] = {}
    unique: dict[str, Tensor] = {}
    for name, value in state.items():
        kept = first.setdefault((value.data_ptr(), value.shape), name)
        if kept == name:
            unique[name] = value.detach().cpu().contiguous().clone()
        else:
            aliases[name] = kept
    return save(unique), aliases


def write_whole(path: Path, data: bytes) -> None:
    """Write beside and rename: a killed run or a full disk costs no agent that was there before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
