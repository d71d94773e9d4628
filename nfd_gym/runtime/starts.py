"""Where an episode begins: the start clips of a world, in its size."""

import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.data import Source
from nfd_gym.errors import UsageError
from nfd_gym.model.pixels import to_uint8
from nfd_gym.runtime.checks import depth_units
from nfd_gym.runtime.forked import about_to_run
from nfd_gym.runtime.resize import resize, resize_depth
from nfd_gym.world import World, WorldError

KEPT = 64  # clips held in memory, a window of frames each


@dataclass(frozen=True)
class Start:
    """The tail of a clip: frame i was produced by action i."""

    frames: NDArray[np.uint8]  # (T, H, W, 3)
    actions: NDArray[np.float32]  # (T, A)
    depth: NDArray[np.uint16]  # (T, H, W) inverse depth; (T, 0, 0) in worlds without depth
    poses: NDArray[np.float32]  # (T, P); (T, 0) where the world reads them from the frames


class Starts:
    """The start clips of one world; its envs share them. Files are closed after each reading."""

    def __init__(self, world: World) -> None:
        self.tail = world.denoiser.config.window + 1
        self._world = weakref.ref(world)
        self._names: list[str] | None = None
        self._read: OrderedDict[int, Start] = OrderedDict()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def names(self) -> list[str]:
        if self._names is None:
            source = self._open()
            self._names = list(source.names)
            _close(source)
        return self._names

    def clip(self, index: int) -> Start:
        """Start clip `index`."""
        if not 0 <= index < len(self):
            raise UsageError(f"options['start'] must be from 0 to {len(self) - 1}, got {index}.")
        if index not in self._read:
            source = self._open()
            try:
                self._read[index] = self._start(source, index)
            finally:
                _close(source)
        self._read.move_to_end(index)
        while len(self._read) > KEPT:
            self._read.popitem(last=False)
        return self._read[index]

    def _start(self, source: Source, index: int) -> Start:
        world = self._world()
        assert world is not None
        length = source.lengths[index]
        clip = source.read(index, max(0, length - self.tail), length)
        about_to_run()
        frames = resize(torch.from_numpy(clip.frames), world.size).numpy()
        depth = np.zeros((len(clip), 0, 0), np.uint16)
        poses = np.zeros((len(clip), 0), np.float32)
        for what, needed, given in (
            ("depth", world.has_depth, clip.depth),
            ("poses", world.needs_poses, clip.pose),
        ):
            if needed and given is None:
                raise WorldError(
                    f"start clip {clip.name!r} of world {world.name!r} has no {what}; export the "
                    "world again with recordings that have them."
                )
        if world.has_depth and clip.depth is not None:
            depth = resize_depth(clip.depth, world.size)
        if world.needs_poses and clip.pose is not None:
            poses = clip.pose
        return Start(frames, clip.actions, depth, poses)

    def _open(self) -> Source:
        world = self._world()
        assert world is not None
        return world.starts()


_shared: "weakref.WeakKeyDictionary[World, Starts]" = weakref.WeakKeyDictionary()


def starts_of(world: World) -> Starts:
    """The start clips of a world, read once however many envs ask."""
    if world not in _shared:
        _shared[world] = Starts(world)
    return _shared[world]


def drawn_start(world: World, state: NDArray[np.float64]) -> Start:
    """The start at a state (P,), drawn by the world itself where its memory draws poses."""
    posed, drawn = getattr(world.body, "posed", None), getattr(world.memory, "render", None)
    if posed is None or drawn is None:
        raise UsageError(
            f"world {world.name!r} begins from pictures, not from a state; give options['frames']."
        )
    if state.shape != (world.pose_width,) or not np.isfinite(state).all():
        raise UsageError(
            f"options['state'] must be {world.pose_width} finite numbers, got {state!r}."
        )
    about_to_run()
    frame = to_uint8(drawn(posed(torch.from_numpy(state).float()[None]))).numpy()
    noop = world.codec.encode(world.codec.noop())[None]
    return Start(frame, noop, np.zeros((1, 0, 0), np.uint16), np.zeros((1, 0), np.float32))


def placed_start(
    world: World, position: tuple[float, float | None, float], yaw: float, pitch: float
) -> Start:
    """The start at a place of the filmed land: feet at `position` (on the highest ground where y is
    None), drawn as memory shows it."""
    memory: Any = world.memory
    atlas = getattr(memory, "atlas", None)
    if atlas is None or not world.game.get("camera"):
        raise UsageError(
            f"world {world.name!r} cannot begin at a place: its memory holds no filmed land; give "
            "options={'start': i} or options['frames']."
        )
    x, y, z = position
    if y is None:
        top = atlas.highest(round(x), round(z))
        if top is None:
            raise UsageError(f"nothing was filmed of the place ({x:g}, {z:g}); name another.")
        y = top + 0.5
    eye = [x, y + world.game["camera"]["eye_height"], z, yaw, pitch]
    about_to_run()
    pose = torch.tensor([eye], dtype=torch.float32)
    view = memory.read(memory.empty(1), torch.zeros(0), pose)
    noop = world.codec.encode(world.codec.noop())[None]
    frame = to_uint8(view.colour).numpy()
    return Start(frame, noop, depth_units(view.nearness[:, 0]), pose.numpy())


def start_anywhere(world: World, rng: np.random.Generator) -> Start:
    """The start at a place under the open sky, any direction of view."""
    atlas = getattr(world.memory, "atlas", None)
    ground = np.zeros((0, 3)) if atlas is None else atlas.open_ground
    if not len(ground):
        raise UsageError(
            f"world {world.name!r} knows no open land; begin from its clips (starts='clips')."
        )
    x, y, z = ground[int(rng.integers(len(ground)))].tolist()
    return placed_start(world, (x, y + 0.5, z), float(rng.integers(-180, 180)), 5.0)


def _close(source: Any) -> None:
    close = getattr(source, "close", None)  # sources of arrays have nothing to close
    if close is not None:
        close()
