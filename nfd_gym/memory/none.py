"""No memory: the coming view is the last frame."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nfd_gym.memory import Edit, View
from nfd_gym.model.pixels import to_float


@dataclass(frozen=True)
class NoMemory:
    """The last frame as the view: for worlds without a camera, or without depth."""

    edits: int = 0

    def start(self, frames: Tensor, nearness: Tensor, poses: Tensor) -> tuple[()]:
        return ()

    def edit(self, state: tuple[()], edit: Edit | None) -> tuple[()]:
        return state

    def read(self, state: tuple[()], frame: Tensor, pose: Tensor) -> View:
        colour = to_float(frame)
        nothing = colour[:, :0]
        known = torch.ones_like(colour[:, :1])
        return View(colour, nothing, known, nothing, torch.zeros_like(known))

    def write(
        self, state: tuple[()], view: View, frame: Tensor, nearness: Tensor, pose: Tensor
    ) -> tuple[()]:
        return state
