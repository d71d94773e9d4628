"""From the name of an engine to the engine."""

import importlib.util
import shutil

import torch

from nfd_gym.model.device import find_device
from nfd_gym.runtime.engines.compile import Inductor
from nfd_gym.runtime.engines.cudagraph import Captured
from nfd_gym.runtime.engines.engine import Engine, EngineError, engine_of
from nfd_gym.runtime.engines.openvino import PRECISIONS, openvino_graph
from nfd_gym.runtime.engines.window import WindowDenoiser
from nfd_gym.settings import nearest
from nfd_gym.world import World
from nfd_gym.world.step import DenoiserLike

COMPILERS = ("g++", "clang++", "c++")
NAMES = ("auto", "eager", *PRECISIONS, "compile", "cudagraph")


def make_engine(
    name: str, world: World, num_envs: int = 1, steps: int | None = None, device: str = "cpu"
) -> Engine:
    """The engine called `name`, drawing `num_envs` frames a call in `steps` denoising steps."""
    name, where = resolve(name, device, world.denoiser.kind)
    settings = world.settings.with_steps(steps)
    denoiser: DenoiserLike = world.denoiser
    if name in PRECISIONS:
        denoiser = WindowDenoiser(world.denoiser, openvino_graph(name, world, num_envs), num_envs)
    elif name == "cudagraph":
        denoiser = WindowDenoiser(
            world.denoiser, Captured(world.denoiser, num_envs, where), num_envs
        )
    elif name == "compile":
        denoiser = WindowDenoiser(world.denoiser, Inductor(world.denoiser), num_envs)
    return engine_of(name, where, world, settings, denoiser)


def resolve(name: str, device: str, network: str = "denoiser") -> tuple[str, torch.device]:
    """Name and device, checked without any torch work; "auto" is OpenVINO in float32 on a CPU that
    has it, else eager. Only a denoiser can be converted."""
    if name not in NAMES:
        raise EngineError(f"no engine {name!r}; did you mean {nearest(name, NAMES)!r}?")
    where = find_device(device)
    if name == "auto":
        fast = where.type == "cpu" and importlib.util.find_spec("openvino") is not None
        fast = fast and network == "denoiser"
        name = "openvino" if fast else "eager"
    if network != "denoiser" and name != "eager":
        raise EngineError(f"engine {name!r} cannot run an {network} world; use engine='eager'.")
    if name in PRECISIONS and importlib.util.find_spec("openvino") is None:
        raise EngineError(
            f"engine {name!r} is not installed; type `pip install openvino` or use engine='eager'."
        )
    if name in PRECISIONS and where.type != "cpu":
        raise EngineError(f"engine {name!r} runs on device='cpu', not on {str(where)!r}.")
    if name == "cudagraph" and where.type != "cuda":
        raise EngineError(f"engine 'cudagraph' needs device='cuda', got {str(where)!r}.")
    if name == "compile" and where.type == "cpu" and not any(map(shutil.which, COMPILERS)):
        raise EngineError(
            "engine 'compile' needs a C++ compiler and finds none; install g++ "
            "(apt-get install -y g++) or use engine='eager'."
        )
    return name, where
