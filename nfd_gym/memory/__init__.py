"""What a world remembers beside its last frames, behind three verbs: edit, read, write.

A memory is a frozen object with its settings; what it remembers is a value (a NamedTuple of
tensors with the batch first) inside the world state. No verb changes its arguments.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from nfd_gym.model.body import Edit
from nfd_gym.model.tokenizer import Tokenizer

__all__ = ["Edit", "Memory", "MemoryState", "Pointed", "View"]

MemoryState = Any  # a NamedTuple of tensors (B, ...), () where nothing is remembered


class View(NamedTuple):
    """The coming view as far as memory knows it: what the denoiser is conditioned on."""

    colour: Tensor  # (B,3,H,W) in [-1,1]; smooth filling where unknown
    nearness: Tensor  # (B,1,H,W) inverse planar depth in 1/m, 0 = sky; (B,0,H,W) without depth
    sharp: Tensor  # (B,1,H,W) 0 unknown, 1 known at the resolution of the picture
    edited: Tensor  # (B,E,H,W) 1 where a commanded edit opens the picture; E kinds of edit
    open: Tensor  # (B,1,H,W) 1 where the picture may be written to memory
    # codes (B,N,C) in place of colour (B,0,...), where memory keeps codes; masks are coarser then
    code: Tensor | None = None

    def of(self, rows: Tensor) -> "View":
        """The views of some environments (R,)."""
        return View(
            self.colour[rows], self.nearness[rows], self.sharp[rows], self.edited[rows],
            self.open[rows], None if self.code is None else self.code[rows],
        )  # fmt: skip


class Pointed(NamedTuple):
    """What the middle of a view shows."""

    distance: Tensor  # (B,) metres
    inner: Tensor  # (B,3) long, the block there
    outer: Tensor  # (B,3) long, the free cell before it
    colour: Tensor  # (B,3) 0..1, mean of the block's side; black where it was never seen


class Memory(Protocol):
    """Stateless reader and writer, stored in a world folder by its kind, config and tensors."""

    @property
    def kind(self) -> str:
        """The name that world/kinds.py knows it by."""

    @property
    def edits(self) -> int:
        """E, the number of edit masks in a view."""

    def start(self, frames: Tensor, nearness: Tensor, poses: Tensor) -> MemoryState:
        """Memory of given frames uint8 (B,T,H,W,3), nearness (B,T,H,W), poses (B,T,P)."""

    def edit(self, state: MemoryState, edit: Edit | None) -> MemoryState:
        """Memory after a commanded edit."""

    def read(self, state: MemoryState, frame: Tensor, pose: Tensor) -> View:
        """The view at `pose` (B,P); `frame` uint8 (B,H,W,3) is the last one on show."""

    def write(
        self, state: MemoryState, view: View, frame: Tensor, nearness: Tensor, pose: Tensor
    ) -> MemoryState:
        """Memory after `frame` was shown at `pose`: what was unknown or edited is taken in."""

    def config(self) -> dict[str, Any]:
        """JSON-able settings, as `build` takes them."""

    def tensors(self) -> dict[str, Tensor]:
        """What it knows from training (the atlas), as `build` takes it."""

    @classmethod
    def build(
        cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor], code: Tokenizer
    ) -> "Memory":
        """The memory that gave `config` and `tensors`, in a world whose pictures have that code."""
