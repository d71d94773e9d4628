"""Memories, bodies and networks by name: what world.json calls them, and where they are."""

import importlib
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nfd_gym.memory import Memory
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.settings import nearest
from nfd_gym.world.settings import WorldError
from nfd_gym.world.step import Body

# kind -> (module, class with `build(config, tensors)`), imported when a world needs it
MEMORIES = {
    "none": ("nfd_gym.memory.none", "NoMemory"),
    "layers": ("nfd_gym.memory.layers", "LayerMemory"),
    "tiles": ("nfd_gym.memory.tiles", "TileMemory"),
    "points": ("nfd_gym.memory.points", "PointMemory"),
}
BODIES = {
    "none": ("nfd_gym.model.body", "NoBody"),
    "eye": ("nfd_gym.model.eye", "EyeBody"),
    "push": ("nfd_gym.model.push", "PushBody"),
    "steps": ("nfd_gym.model.steps", "StepBody"),
}
NETWORKS = {
    "denoiser": ("nfd_gym.model.denoiser", "Denoiser", "DenoiserConfig"),
    "autoregressive": (
        "nfd_gym.baselines.autoregressive", "Autoregressive", "AutoregressiveConfig",
    ),
}  # fmt: skip


def network_of(kind: str) -> tuple[Any, Any]:
    """The class of that kind of network, and that of its config."""
    if kind not in NETWORKS:
        raise WorldError(f"no network of kind {kind!r}; did you mean {nearest(kind, NETWORKS)!r}?")
    module, *names = NETWORKS[kind]
    cls, config = (getattr(importlib.import_module(module), name) for name in names)
    return cls, config


def build_memory(
    kind: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor], code: Tokenizer
) -> Memory:
    """The memory of that kind."""
    memory: Memory = _find("memory", MEMORIES, kind).build(config, tensors, code)
    return memory


def build_body(kind: str, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Body:
    """The body of that kind."""
    body: Body = _find("body", BODIES, kind).build(config, tensors)
    return body


def _find(what: str, known: Mapping[str, tuple[str, str]], kind: str) -> Any:
    if kind not in known:
        raise WorldError(f"no {what} of kind {kind!r}; did you mean {nearest(kind, known)!r}?")
    module, name = known[kind]
    return getattr(importlib.import_module(module), name)
