"""The fast engine on CPUs: the denoiser as one static OpenVINO graph, body and memory eager.

"openvino" computes in float32 and differs from eager by rounding; "openvino-bf16" is faster on CPUs
that multiply in bfloat16, and its frames are visibly other frames after a few steps.
"""

import sys
import threading
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nfd_gym.model.denoiser import Denoiser
from nfd_gym.runtime.engines.converted import converted
from nfd_gym.runtime.engines.engine import EngineError
from nfd_gym.runtime.engines.window import WindowNet, example
from nfd_gym.world import World

CPU = torch.device("cpu")
PRECISIONS = {"openvino": "f32", "openvino-bf16": "bf16"}
KEPT = 4  # compiled graphs that a process keeps: forks come and go

_graphs: "OrderedDict[str, Any]" = OrderedDict()
_compiling = threading.Lock()


def openvino_graph(name: str, world: World, num_envs: int) -> "Graph":
    """The denoiser of a world for `num_envs`, at the precision that the engine's `name` says."""
    precision = PRECISIONS[name]
    if precision == "bf16" and "BF16" not in _capabilities():
        raise EngineError(
            "this CPU does not multiply in bfloat16, where 'openvino-bf16' would be slower than "
            "float32; use engine='openvino'."
        )
    return Graph(_graph(world, num_envs, precision))


class Graph:
    """One inference request of a compiled graph."""

    def __init__(self, compiled: Any) -> None:
        self.request = compiled.create_infer_request()

    def __call__(self, given: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        inputs = {i: value.contiguous().numpy() for i, value in enumerate(given)}
        made = self.request.infer(inputs, share_inputs=True, share_outputs=True)
        clean, keys, values = (torch.from_numpy(made[i]) for i in range(3))
        return clean.clone(), keys, values  # the cache copies its part


def quiet_openvino() -> Any:
    """openvino without its telemetry, which forks a process for each import and conversion to tell
    a server. Without that package OpenVINO uses a stub; nothing here may reach the network.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # "not installed"
    import openvino

    return openvino


def _capabilities() -> list[str]:
    return list(quiet_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def _graph(world: World, num_envs: int, precision: str) -> Any:
    """The compiled graph; the last few are kept, for sessions that want the same one again."""
    openvino = quiet_openvino()
    key = f"openvino {openvino.__version__} {world.fingerprint} {num_envs} {precision}"
    with _compiling:
        if key not in _graphs:
            # The file on disk serves both precisions.
            file = f"openvino {openvino.__version__} {world.fingerprint} {num_envs}"
            folder = converted(file, lambda empty: _convert(world.denoiser, num_envs, empty))
            core = openvino.Core()
            hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
            _graphs[key] = core.compile_model(core.read_model(folder / "step.xml"), "CPU", hints)
        _graphs.move_to_end(key)
        while len(_graphs) > KEPT:
            _graphs.popitem(last=False)
        return _graphs[key]


def _convert(denoiser: Denoiser, num_envs: int, folder: Path) -> None:
    openvino = quiet_openvino()
    zeros = example(denoiser.config, num_envs, CPU)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing bakes shapes in and says so: it is meant to
        traced = torch.jit.trace(WindowNet(denoiser).eval(), tuple(zeros), check_trace=False)
        shapes = [openvino.PartialShape(list(value.shape)) for value in zeros]
        graph = openvino.convert_model(traced, input=shapes)
    openvino.save_model(graph, folder / "step.xml", compress_to_fp16=False)
