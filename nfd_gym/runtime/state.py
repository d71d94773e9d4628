"""A running world as bytes: safetensors with a JSON header, read without executing anything."""

import json
import struct
from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from nfd_gym.errors import NfdError

FORMAT = 5
KIND = "nfd_gym state"


class StateError(NfdError, ValueError):
    """Bytes that are no state, or one of another world, size or version."""


def to_bytes(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bytes:
    """Pack tensors and JSON-able facts."""
    header = {"kind": KIND, "format": FORMAT, **facts}
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return save(plain, metadata={"state": json.dumps(header)})


def from_bytes(
    state: bytes, expected: Mapping[str, Any], like: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Unpack; every fact in `expected` must have that value, and the tensors must be those of
    `like` in name, shape, type and finiteness."""
    try:
        facts = _facts(state)
        tensors = load(state)
    except (SafetensorError, struct.error, ValueError, KeyError, TypeError) as error:
        raise StateError(
            f"these {len(state)} bytes are no saved state of nfd_gym ({error}); give load_state "
            "what save_state returned."
        ) from error
    if facts.get("kind") != KIND or not isinstance(facts.get("format"), int):
        raise StateError("these bytes are a safetensors file, but no saved state of nfd_gym.")
    if facts["format"] != FORMAT:
        raise StateError(
            f"the state has format {facts['format']}, this nfd_gym reads format {FORMAT}; save it "
            "again with this version."
        )
    for name, value in expected.items():
        if facts.get(name) != value:
            raise StateError(
                f"the state was saved with {name} {facts.get(name)!r} and this session has "
                f"{value!r}; load it into a session with the same {name}."
            )
    _check(tensors, like)
    return tensors


def in_range(name: str, tensor: Tensor, low: int, high: int) -> None:
    """Whole numbers of a state must lie within [low, high]."""
    if tensor.numel() and not low <= int(tensor.min()) <= int(tensor.max()) <= high:
        raise StateError(
            f"the state is damaged: {name} must lie from {low} to {high}, got "
            f"{tensor.flatten()[:4].tolist()}; save it again."
        )


def _check(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> None:
    for name in sorted(tensors.keys() ^ like.keys()):
        what = "lacks" if name in like else "holds an unknown"
        raise StateError(f"the state is damaged: it {what} {name!r}; save it again.")
    for name, tensor in tensors.items():
        wanted = like[name]
        if tensor.shape != wanted.shape or tensor.dtype != wanted.dtype:
            raise StateError(
                f"the state is damaged: {name} must be {wanted.dtype} {tuple(wanted.shape)}, got "
                f"{tensor.dtype} {tuple(tensor.shape)}; save it again."
            )
        # A memory may mark unused places by infinity; nothing else may.
        bad = tensor.isnan() if name.startswith("memory.") else ~tensor.isfinite()
        if tensor.is_floating_point() and bool(bad.any()):
            raise StateError(f"the state is damaged: {name} is not finite; save it again.")


def _facts(state: bytes) -> dict[str, Any]:
    (length,) = struct.unpack("<Q", state[:8])
    header = json.loads(state[8 : 8 + length])
    facts = json.loads(header["__metadata__"]["state"])
    if not isinstance(facts, dict):
        raise ValueError("its header is not a table")
    return facts
