"""A running world as bytes: safetensors with a JSON header, read without executing anything."""

import json
import struct
from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from nfd_gym.errors import NfdError

FORMAT = 4
KIND = "nfd_gym state"


class StateError(NfdError, ValueError):
    """Bytes that are no state, or one of another world, size or version."""


def to_bytes(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bytes:
    """Pack tensors and JSON-able facts."""
    header = {"kind": KIND, "format": FORMAT, **facts}
    plain = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    return save(plain, metadata={"state": json.dumps(header)})


def from_bytes(
    state: bytes, expected: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Unpack; every fact named in `expected` must have that value."""
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
    return tensors, facts


def _facts(state: bytes) -> dict[str, Any]:
    (length,) = struct.unpack("<Q", state[:8])
    header = json.loads(state[8 : 8 + length])
    facts = json.loads(header["__metadata__"]["state"])
    if not isinstance(facts, dict):
        raise ValueError("its header is not a table")
    return facts
