"""The fast engine on CPUs: the whole step as one static OpenVINO graph.

Frames whose window is not full yet (just after a reset from a short clip) are drawn by the eager
engine. bf16 is used where the CPU computes in it, float32 elsewhere.
"""

import importlib.util
import sys
import threading
import warnings
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfd_gym.model.cache import FrameCache
from nfd_gym.runtime.converted import converted
from nfd_gym.runtime.engine import Drawn, EagerEngine, EngineError
from nfd_gym.runtime.fingerprint import fingerprint
from nfd_gym.runtime.window_step import WindowStep, half_step, is_full, step_inputs
from nfd_gym.world import WorldModel

CPU = torch.device("cpu")


class OpenVINOEngine:
    """Differs from the eager engine by rounding: per step in one of 100,000 values by more than a
    grey level (shipped world, float32), where a pixel went to the other neighbour."""

    name = "openvino"
    device = CPU

    def __init__(
        self, world: WorldModel, lanes: int, sigmas: Sequence[float], device: torch.device
    ) -> None:
        if importlib.util.find_spec("openvino") is None:
            raise EngineError(
                "engine 'openvino' is not installed; type `pip install openvino` or use "
                "engine='eager'."
            )
        if device.type != "cpu":
            raise EngineError(f"engine 'openvino' runs on device='cpu', not on {str(device)!r}.")
        self.eager = EagerEngine(world, sigmas, device)
        self.compiled = _compiled(world, lanes, tuple(sigmas))
        self.request = self.compiled.model.create_infer_request()

    @torch.no_grad()
    def step(self, cache: FrameCache, now: Drawn, actions: Tensor, noise: Tensor) -> Drawn:
        if not is_full(cache):
            return self.eager.step(cache, now, actions, noise)
        step = half_step(self.eager.world, cache, now, actions, noise)
        made = self.request.infer(
            {i: value.contiguous().numpy() for i, value in enumerate(step.given)},
            share_inputs=True,
            share_outputs=True,
        )
        *drawn, keys, values = (torch.from_numpy(made[i]) for i in range(6))
        cache.append(keys, values)
        return step.finish(drawn)


class Compiled:
    """A compiled graph; the sessions of a process that want the same one share it."""

    def __init__(self, folder: Path) -> None:
        core = quiet_openvino().Core()
        hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision(core)}
        self.model = core.compile_model(core.read_model(folder / "step.xml"), "CPU", hints)


def quiet_openvino() -> Any:
    """openvino without its telemetry, which forks a process for each import and conversion to tell
    a server. Without that package OpenVINO uses a stub; nothing here may reach the network.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # "not installed"
    import openvino

    return openvino


def precision(core: Any) -> str:
    """bf16 only where the CPU computes in it: elsewhere it is several times slower than float32."""
    return "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


_shared: "weakref.WeakValueDictionary[str, Compiled]" = weakref.WeakValueDictionary()
_sharing = threading.Lock()


def _compiled(world: WorldModel, lanes: int, sigmas: tuple[float, ...]) -> Compiled:
    openvino = quiet_openvino()
    key = f"openvino {openvino.__version__} {fingerprint(world)} lanes {lanes} sigmas {sigmas}"
    with _sharing:
        compiled = _shared.get(key)
        if compiled is None:
            folder = converted(key, lambda empty: _convert(world, lanes, sigmas, empty))
            compiled = _shared[key] = Compiled(folder)
        return compiled


def _convert(world: WorldModel, lanes: int, sigmas: Sequence[float], folder: Path) -> None:
    openvino = quiet_openvino()
    zeros = step_inputs(world, lanes, CPU)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing bakes shapes in and says so: it is meant to
        step = WindowStep(world, sigmas).eval()
        traced = torch.jit.trace(step, zeros, check_trace=False)
        shapes = [openvino.PartialShape(list(value.shape)) for value in zeros]
        graph = openvino.convert_model(traced, input=shapes)
    openvino.save_model(graph, folder / "step.xml", compress_to_fp16=False)
