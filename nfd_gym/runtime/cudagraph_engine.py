"""The fast engine on NVIDIA GPUs: the whole step captured once as a CUDA graph and replayed.

NOT RUN YET: it was written without a GPU at hand. It follows PyTorch's documented capture recipe
and captures the same `WindowStep` that the OpenVINO engine runs; `tests/runtime/test_engines.py`
compares it with eager where there is a GPU and skips it elsewhere. Until someone has run that
test, trust engine="eager" on a GPU.

A small model on a GPU is launch-bound: hundreds of kernels of a few microseconds. A graph replays
them with one launch. Its buffers have fixed addresses, so inputs are copied in and outputs copied
out; the ring stays an ordinary FrameCache on the device. Only the memory asks the host whether any
lane turned.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from nfd_gym.model.cache import FrameCache
from nfd_gym.runtime.engine import Drawn, EagerEngine, EngineError
from nfd_gym.runtime.window_step import WindowStep, half_step, is_full, step_inputs
from nfd_gym.world import WorldModel

WARM_UPS = 3  # steps before capture: libraries choose and load their kernels in the first ones


class CUDAGraphEngine:
    """Replays one captured step with full windows; eager before they are full."""

    name = "cudagraph"

    def __init__(
        self, world: WorldModel, lanes: int, sigmas: Sequence[float], device: torch.device
    ) -> None:
        if device.type != "cuda":
            raise EngineError(f"engine 'cudagraph' needs device='cuda', got {str(device)!r}.")
        self.device = device
        self.eager = EagerEngine(world, sigmas, device)
        self.inputs = step_inputs(world, lanes, device)
        self.graph, self.outputs = _capture(WindowStep(world, sigmas).eval(), self.inputs, device)

    @torch.no_grad()
    def step(self, cache: FrameCache, now: Drawn, actions: Tensor, noise: Tensor) -> Drawn:
        if not is_full(cache):
            return self.eager.step(cache, now, actions, noise)
        step = half_step(self.eager.world, cache, now, actions, noise)
        for buffer, value in zip(self.inputs, step.given, strict=True):
            buffer.copy_(value, non_blocking=True)
        self.graph.replay()
        *drawn, new_keys, new_values = self.outputs
        cache.append(new_keys, new_values)
        return step.finish(drawn)


@torch.no_grad()
def _capture(
    step: WindowStep, inputs: tuple[Tensor, ...], device: torch.device
) -> tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...]]:
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):  # capture is not allowed to be the first to touch a library
        for _ in range(WARM_UPS):
            step(*inputs)
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = step(*inputs)
    return graph, outputs
