"""No memory: the coming view is the last frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nfd_gym.memory import Edit, View
from nfd_gym.model.pixels import to_float
from nfd_gym.model.tokenizer import Tokenizer


class Unwritten:
    """The verbs of a memory that play does not change."""

    edits = 0

    def start(self, frames: Tensor, nearness: Tensor, poses: Tensor) -> tuple[()]:
        return ()

    def edit(self, state: tuple[()], edit: Edit | None) -> tuple[()]:
        return state

    def write(
        self, state: tuple[()], view: View, frame: Tensor, nearness: Tensor, pose: Tensor
    ) -> tuple[()]:
        return state


@dataclass(frozen=True)
class NoMemory(Unwritten):
    """The last frame as the view: for worlds without a camera, or without depth."""

    kind = "none"

    def read(self, state: tuple[()], frame: Tensor, pose: Tensor) -> View:
        return whole_view(to_float(frame))

    def config(self) -> dict[str, Any]:
        return {}

    def tensors(self) -> dict[str, Tensor]:
        return {}

    @classmethod
    def build(
        cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor], code: Tokenizer
    ) -> "NoMemory":
        return cls(**config)


def whole_view(colour: Tensor) -> View:
    """A view (B,3,H,W) that is known everywhere."""
    nothing = colour[:, :0]
    known = torch.ones_like(colour[:, :1])
    return View(colour, nothing, known, nothing, torch.zeros_like(known))
