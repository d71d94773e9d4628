"""WorldState: all that the next frame depends on besides the frame cache. A value, never changed.

It is what save, undo, fork and speculation copy: a tree of tensors with the batch first.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nfd_gym.memory import Edit, MemoryState


class WorldState(NamedTuple):
    frame: Tensor  # uint8 (B,H,W,3) on show
    nearness: Tensor  # (B,H,W) inverse planar depth in 1/m; (B,0,0) in worlds without depth
    latents: Tensor  # (B,N,C) of the frame
    pose: Tensor  # (B,5) x, y, z of the eye, yaw, pitch; (B,0) in worlds without a camera
    motion: Tensor  # (B,M) what the body carries over: last displacement, timers; (B,0)
    memory: MemoryState
    edit: Edit  # what the last action dug or placed: events are read from it


def tree_map(function: Callable[..., Tensor], *trees: Any) -> Any:
    """`function` over the tensors of equally shaped trees of (named) tuples."""
    first = trees[0]
    if isinstance(first, Tensor):
        return function(*trees)
    parts = [tree_map(function, *branch) for branch in zip(*trees, strict=True)]
    return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)


def named_tensors(tree: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """(dotted name, tensor) of a tree of named tuples, in a fixed order."""
    if isinstance(tree, Tensor):
        yield prefix, tree
        return
    names = getattr(tree, "_fields", tuple(map(str, range(len(tree)))))
    for name, branch in zip(names, tree, strict=True):
        yield from named_tensors(branch, f"{prefix}.{name}" if prefix else name)


def rebuilt(tree: Any, named: Mapping[str, Tensor], prefix: str = "") -> Any:
    """A tree of the shape of `tree` from what `named_tensors` gave."""
    if isinstance(tree, Tensor):
        return named[prefix]
    names = getattr(tree, "_fields", tuple(map(str, range(len(tree)))))
    parts = [
        rebuilt(branch, named, f"{prefix}.{name}" if prefix else name)
        for name, branch in zip(names, tree, strict=True)
    ]
    return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)


def select(state: WorldState, rows: Tensor) -> WorldState:
    """The environments `rows` (K,) of a state."""
    chosen: WorldState = tree_map(lambda x: x[rows.to(x.device)], state)
    return chosen


def put(state: WorldState, rows: Tensor, other: WorldState) -> WorldState:
    """`state` with the environments `rows` (K,) replaced by those of `other` (K)."""

    def replaced(old: Tensor, new: Tensor) -> Tensor:
        out = old.clone()
        out[rows.to(old.device)] = new.to(old.device)
        return out

    merged: WorldState = tree_map(replaced, state, other)
    return merged


def stack(states: list[WorldState]) -> WorldState:
    """One state of all the environments of several."""
    joined: WorldState = tree_map(lambda *parts: torch.cat(parts), *states)
    return joined
