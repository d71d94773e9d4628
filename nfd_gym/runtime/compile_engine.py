"""Opt-in: the step through torch.compile. Needs a C++ compiler (or Triton on a GPU) at run time.

The first step takes a minute. On two CPU cores OpenVINO is faster; on a GPU the CUDA graph engine
starts sooner. It is here for devices that have neither.
"""

import shutil
from collections.abc import Sequence

import torch
from torch import Tensor

from nfd_gym.model.cache import FrameCache
from nfd_gym.runtime.engine import Drawn, EagerEngine, EngineError
from nfd_gym.runtime.window_step import WindowStep, half_step, is_full
from nfd_gym.world import WorldModel


class CompileEngine:
    """Inductor's code for the step with full windows; eager before they are full."""

    name = "compile"

    def __init__(
        self, world: WorldModel, lanes: int, sigmas: Sequence[float], device: torch.device
    ) -> None:
        if device.type == "cpu" and not any(map(shutil.which, ("g++", "clang++", "c++"))):
            raise EngineError(
                "engine 'compile' needs a C++ compiler and finds none; install g++ "
                "(apt-get install -y g++) or use engine='eager'."
            )
        self.device = device
        self.eager = EagerEngine(world, sigmas, device)
        self.compiled = torch.compile(WindowStep(world, sigmas).eval(), dynamic=False)

    @torch.no_grad()
    def step(self, cache: FrameCache, now: Drawn, actions: Tensor, noise: Tensor) -> Drawn:
        if not is_full(cache):
            return self.eager.step(cache, now, actions, noise)
        step = half_step(self.eager.world, cache, now, actions, noise)
        # Strides would be recompiled for, and so would tensors that share their storage.
        given = [part.clone(memory_format=torch.contiguous_format) for part in step.given]
        *drawn, keys, values = self.compiled(*given)
        cache.append(keys, values)
        return step.finish(drawn)
