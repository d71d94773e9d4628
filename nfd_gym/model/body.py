"""The body: what an action does to the player's eye. Here the one of worlds without a camera."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor


class Edit(NamedTuple):
    """One commanded change of the world per environment: which kind, and where."""

    kind: Tensor  # (B,) long, 0 = none, k = the k-th kind of edit
    cell: Tensor  # (B,3) long, the lattice cell


class Move(NamedTuple):
    """What a body does under one action."""

    pose: Tensor  # (B,P) after the action
    motion: Tensor  # (B,M) carried over to the next action
    control: Tensor  # (B,K) what the denoiser is told of it, beside the action
    edit: Edit | None = None  # what is dug or placed


@dataclass(frozen=True)
class NoBody:
    """No eye and no pose: the picture alone says what an action does."""

    kind = "none"
    width = 0  # K of a move's control
    pose_width = 0  # P of a pose
    reads = True
    edits: tuple[str, ...] = ()  # names of the kinds of edit 1, 2, ...: "dig", "place brick"

    def move(self, memory: Any, state: Any, action: Tensor, noise: Tensor | None = None) -> Move:
        """Nothing moves; `state` is the world state before `action` (B,A)."""
        return Move(state.pose, state.motion, action.new_zeros(len(action), 0))

    def start(self, poses: Tensor, actions: Tensor) -> Tensor:
        """Motion (B,0) at the end of poses (B,T,0) under actions (B,T,A)."""
        return actions.new_zeros(len(actions), 0)

    def read(self, frames: Tensor, actions: Tensor) -> Tensor:
        """Poses (B,T,0)."""
        return actions[..., :0]

    def told(self, before: Tensor, after: Tensor) -> Tensor:
        """Nothing (...,0) is told of a move between poses (...,0)."""
        return before

    def config(self) -> dict[str, Any]:
        """JSON-able settings, as `build` takes them."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """Weights, as `build` takes them."""
        return {}

    @classmethod
    def build(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "NoBody":
        return cls(**config)
