"""The denoiser captured once as a CUDA graph and replayed: one launch instead of hundreds.

Its buffers have fixed addresses, so inputs are copied in and outputs copied out. Opt-in: "auto" on
a GPU is eager. tests/runtime/test_engines.py compares it with eager where there is a GPU.
"""

import torch
from torch import Tensor

from nfd_gym.model.denoiser import Denoiser
from nfd_gym.runtime.engines.window import WindowNet, example

WARM_UPS = 3  # calls before capture: libraries choose and load their kernels in the first ones


class Captured:
    """A captured evaluation with its input and output buffers."""

    @torch.no_grad()
    def __init__(self, denoiser: Denoiser, num_envs: int, device: torch.device) -> None:
        net = WindowNet(denoiser).eval()
        self.inputs = example(denoiser.config, num_envs, device)
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):  # capture may not be the first to touch a library
            for _ in range(WARM_UPS):
                net(*self.inputs)
        torch.cuda.current_stream(device).wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.outputs = net(*self.inputs)

    def __call__(self, given: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        for buffer, value in zip(self.inputs, given, strict=True):
            buffer.copy_(value, non_blocking=True)
        self.graph.replay()
        clean, keys, values = self.outputs
        return clean.clone(), keys, values  # the cache copies its part
