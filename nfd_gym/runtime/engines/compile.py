"""Opt-in: the denoiser through torch.compile. Needs a C++ compiler (or Triton on a GPU).

The first step takes a minute.
"""

import torch
from torch import Tensor

from nfd_gym.model.denoiser import Denoiser
from nfd_gym.runtime.engines.window import WindowNet


class Inductor:
    """Inductor's code of one evaluation."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.compiled = torch.compile(WindowNet(denoiser).eval(), dynamic=False)

    @torch.no_grad()
    def __call__(self, given: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        # Strides would be recompiled for, and so would tensors that share their storage.
        plain = [value.clone(memory_format=torch.contiguous_format) for value in given]
        clean, keys, values = self.compiled(*plain)
        return clean, keys, values
