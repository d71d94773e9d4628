"""A world state is a tree of tensors: mapped, named, rebuilt, selected, put and stacked."""

from typing import NamedTuple

import torch
from torch import Tensor

from nfd_gym.memory import Edit
from nfd_gym.world.state import WorldState, named_tensors, put, rebuilt, select, stack, tree_map


class Inner(NamedTuple):
    points: Tensor
    deeper: tuple[Tensor, ...]


def make(envs: int, offset: float = 0.0) -> WorldState:
    base = torch.arange(envs, dtype=torch.float32) + offset
    memory = Inner(base[:, None].repeat(1, 3), (base, base + 1))
    edit = Edit(base.long(), base.long()[:, None].repeat(1, 3))
    return WorldState(base.byte(), base, base, base, base, memory, edit)


def test_names_are_dotted_and_rebuilding_inverts_them() -> None:
    state = make(3)
    named = dict(named_tensors(state))
    assert {"frame", "memory.points", "memory.deeper.1", "edit.cell"} <= named.keys()
    again = rebuilt(make(1), named)
    assert type(again.memory) is Inner
    for (name, one), (other, two) in zip(named_tensors(state), named_tensors(again), strict=True):
        assert name == other and torch.equal(one, two)


def test_put_and_select_touch_the_named_envs_alone() -> None:
    state, new = make(4), make(2, 50.0)
    rows = torch.tensor([3, 1])
    merged = put(state, rows, new)
    for (_, old), (_, given), (_, out) in zip(
        named_tensors(state), named_tensors(new), named_tensors(merged), strict=True
    ):
        assert torch.equal(out[rows], given) and torch.equal(out[[0, 2]], old[[0, 2]])
    assert state.latents.tolist() == [0, 1, 2, 3], "the old state is a value"
    for (_, one), (_, two) in zip(
        named_tensors(select(merged, rows)), named_tensors(new), strict=True
    ):
        assert torch.equal(one, two)


def test_stacking_joins_environments() -> None:
    joined = stack([make(1), make(2, 7.0)])
    assert joined.memory.deeper[1].tolist() == [1, 8, 9]
    doubled = tree_map(lambda x: x * 2, joined)
    assert doubled.latents.tolist() == [0, 14, 16]
