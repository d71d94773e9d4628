"""Fixtures that several packages' tests share."""

import hashlib
import ipaddress
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from numpy.typing import ArrayLike
from torch import nn

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.data.clip import Clip
from nfd_gym.data.store import ClipWriter
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.pixels import to_float
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig, depth_code
from nfd_gym.presets import PRESETS
from nfd_gym.world import Drift, World, save_world
from tests.camera import CameraWorld, TurningBody, TurningMemory, camera_clip
from tests.points import save_points_world

if "PYTEST_XDIST_WORKER" in os.environ:  # a process for each core: their threads would fight
    os.environ["OMP_NUM_THREADS"] = "1"  # for what tests start
    torch.set_num_threads(1)

# pytest.importorskip("openvino") would import its telemetry, which forks processes that call home.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

# Examples are drawn from the test's name, not from the clock; a loaded machine is no failure.
settings.register_profile("nfd", max_examples=40, deadline=None, derandomize=True, database=None)
settings.load_profile("nfd")


ROOT = Path(__file__).parents[1]
FAR_LEVELS = 16


class NetworkBlocked(RuntimeError):
    """A test tried to reach another machine."""


@pytest.fixture(autouse=True, scope="session")
def tracked_files_stay() -> Iterator[None]:
    """No test may change the checkout: the first command of the README is `make test`."""
    before = changes(ROOT)
    yield
    after = changes(ROOT)
    changed = sorted(set(after.items()) ^ set(before.items()))
    names = sorted({name for name, _ in changed})
    assert not names, f"tracked files changed while the tests ran: {names}"


def changes(checkout: Path) -> dict[str, str]:
    """Name -> hash of the content of every tracked file that differs from the index; {} if this
    is no git checkout."""
    try:
        listing = subprocess.run(
            ["git", "diff", "--name-only", "-z"], cwd=checkout, capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return {}
    names = [name for name in listing.stdout.decode().split("\0") if name]
    return {name: digest(checkout / name) for name in names}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "deleted"


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Nothing may leave this machine; loopback stays open for servers under test."""
    patch = pytest.MonkeyPatch()
    for name in ("connect", "connect_ex", "sendto"):
        patch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)), raising=True)
    patch.setattr(socket, "getaddrinfo", guarded_lookup(socket.getaddrinfo))
    yield
    patch.undo()


def guarded(call):
    """A socket method that refuses every address but this machine's own."""

    def checked(self: socket.socket, *args: object) -> object:
        address = args[-1]
        if self.family in (socket.AF_INET, socket.AF_INET6) and not is_loopback(address[0]):
            raise NetworkBlocked(f"a test tried to reach {address}; tests run without network.")
        return call(self, *args)

    return checked


def guarded_lookup(call):
    """Name lookups ask other machines too."""

    def checked(host, *args: object, **kwargs: object) -> object:
        if host is not None and not is_loopback(host):
            raise NetworkBlocked(f"a test tried to look up {host!r}; tests run without network.")
        return call(host, *args, **kwargs)

    return checked


def is_loopback(host: str | bytes) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name in ("", "localhost", "0.0.0.0", "::"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@pytest.fixture(scope="session")
def tiny_world() -> World:
    """An untrained 48x32 world whose every input matters; share it, never change it."""
    return make_tiny_world()


@pytest.fixture(scope="session")
def tiny_world_path(tiny_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny_world` as a folder with start clips; loading it gives exactly the same weights."""
    folder = tmp_path_factory.mktemp("tiny") / "world"
    save_world(tiny_world, folder)
    writer = ClipWriter(folder / "starts", tiny_world.codec, fps=20.0, size=(32, 48))
    for seed, name in enumerate(name for names in tiny_world.splits.values() for name in names):
        writer.write(make_texture_clip(seed, name))
    return folder


@pytest.fixture(scope="session")
def camera_world() -> World:
    """The same with depth, a body that turns and edits, and a memory of what it saw."""
    return make_camera_world()


@pytest.fixture(scope="session")
def room_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of short walks with depth and poses, to train on."""
    from tests.walks import write_store

    return write_store(tmp_path_factory.mktemp("room") / "store")


@pytest.fixture(scope="session")
def camera_world_path(camera_world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`camera_world` as a folder; its kinds of memory and body are known to this process alone."""
    folder = tmp_path_factory.mktemp("camera") / "world"
    save_world(camera_world, folder)
    writer = ClipWriter(
        folder / "starts", camera_world.codec, fps=20.0, size=(32, 48), depth=True, crf=0
    )
    for seed in range(3):
        writer.write(camera_clip(seed))
    return folder


@pytest.fixture(scope="session")
def points_world_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shipped kinds of memory and body, and start clips with depth and poses."""
    folder = tmp_path_factory.mktemp("points") / "world"
    save_points_world(folder, make_nets)
    return folder


def make_tiny_world(**denoiser: object) -> World:
    """The micro preset with a principal component code and random weights."""
    return World(
        name="tiny-test",
        codec=KeysAndMouse(camera=Camera(72.0)),
        **make_nets(replace(PRESETS["micro"].tokenizer, whiten=1.0), denoiser),  # type: ignore[arg-type]
        splits={"train": ["start-0", "start-1", "start-2"], "test": ["start-3", "start-4"]},
        provenance={"trained": "never; random weights for tests"},
    )


def make_camera_world() -> World:
    """See tests/camera.py for its memory and body."""
    tokenizer = replace(PRESETS["micro"].tokenizer, depth_channels=4)
    given = {"channels": 12, "masks": 3, "rays": True, "control_width": 27}
    return CameraWorld(
        name="camera-test",
        codec=KeysAndMouse(camera=Camera(72.0)),
        memory=TurningMemory(),
        body=TurningBody(),
        splits={"train": ["turn-0", "turn-1"], "test": ["turn-2"]},  # as camera_clip names them
        **make_nets(tokenizer, given),  # type: ignore[arg-type]
    )


def make_nets(tokenizer: TokenizerConfig, denoiser: dict[str, object]) -> dict[str, object]:
    """A fitted tokenizer, a random denoiser of the micro preset, and their drift statistics."""
    random = torch.Generator().manual_seed(0)
    code = Tokenizer(tokenizer)
    clips = [make_texture_clip(seed, "pca").frames for seed in range(4)]
    pictures = to_float(torch.from_numpy(np.concatenate(clips)))
    code.colour.fit(pictures)
    nearness = 0.02 + 0.2 * (pictures.mean(1, keepdim=True) + 1)
    if code.depth is not None:
        code.depth.fit(depth_code(nearness))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Denoiser(replace(PRESETS["micro"].denoiser, **denoiser))  # type: ignore[arg-type]
    redraw_zeros(net, 0.6, random)
    with torch.no_grad():
        net.tokens_out.weight *= 0.2  # a gentle change of the view
        net.places.copy_(torch.randn(net.places.shape, generator=random))
        for block in net.blocks:
            block.q_scale *= 3.0  # attention that picks, instead of averaging everything
        for value in net.state_dict().values():
            value.copy_(value.half())  # so that a saved world (fp16) loads without rounding
    for part in (code, net):
        part.eval().requires_grad_(False)
    drift = Drift.of(code.encode(pictures, nearness))
    return {"tokenizer": code, "denoiser": net, "drift": drift}


def alike(one: ArrayLike, other: ArrayLike, levels: int = 1) -> bool:
    """Whether two pictures are the same but for rounding. Batches and engines round sums
    differently, and a pixel that so goes to the other neighbour shows in the places around it:
    0.2 % of the values may be anything, 3 % may be a few levels off, the rest `levels`."""
    apart = np.abs(np.asarray(one, np.int64) - np.asarray(other, np.int64))
    far, further = (apart > levels).mean(), (apart > FAR_LEVELS + levels).mean()
    return bool(far < 0.03 and further < 0.002 and apart.mean() < 0.5)


@torch.no_grad()
def redraw_zeros(net: nn.Module, std: float, random: torch.Generator) -> None:
    """Give layers that start at zero (adaLN-Zero, output layers) weights, so that inputs matter."""
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and not module.weight.any():
            module.weight.copy_(torch.randn(module.weight.shape, generator=random) * std)


def make_texture_clip(seed: int, name: str, frames: int = 12) -> Clip:
    """48x32 frames of a smooth random texture that the mouse pushes around."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (16, 24, 3)).astype(np.float32)
    texture = np.kron(coarse, np.ones((8, 8, 1), np.float32))
    for axis in (0, 1):
        for _ in range(3):
            texture = (np.roll(texture, -2, axis) + 2 * texture + np.roll(texture, 2, axis)) / 4
    codec = KeysAndMouse()
    turns = rng.integers(-2, 3, (frames, 2)).astype(np.float64)
    turns[0] = 0
    keys = [("forward",) if rng.random() < 0.5 else () for _ in range(frames)]
    keys[0] = ()
    where = np.cumsum(turns, axis=0).astype(int)  # one degree is one pixel, roughly
    pictures = [np.roll(texture, (-dy, -dx), (0, 1))[40:72, 60:108] for dy, dx in where]
    return Clip(
        frames=np.stack(pictures).round().astype(np.uint8),
        actions=np.stack([codec.vector(k, *turn) for k, turn in zip(keys, turns, strict=True)]),
        pitch=where[:, 0].astype(np.float32),
        name=name,
    )


@pytest.fixture(scope="session", autouse=True)
def converted_models_stay_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither read nor fill the user's cache of converted models."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NFD_GYM_CACHE", str(tmp_path_factory.mktemp("converted")))
        yield


@pytest.fixture(scope="session")
def texture_recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three 40-frame recordings of textures that the mouse pushes around."""
    folder = tmp_path_factory.mktemp("recordings")
    writer = ClipWriter(folder, KeysAndMouse(camera=Camera(72.0)), fps=20.0, size=(32, 48))
    for seed in range(3):
        writer.write(make_texture_clip(seed, f"clip-{seed}", frames=40))
    return folder


@pytest.fixture(scope="session")
def texture_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three short recordings of 48x32 textures, to train on."""
    folder = tmp_path_factory.mktemp("textures")
    writer = ClipWriter(folder, KeysAndMouse(camera=Camera(72.0)), fps=20.0, size=(32, 48))
    for seed in range(3):
        writer.write(make_texture_clip(seed, f"clip-{seed}", frames=24))
    return folder
