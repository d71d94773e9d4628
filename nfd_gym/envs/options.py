"""What `reset(options=...)` may bring: the user's own frames, checked and cut to the window."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.actions import ActionCodec
from nfd_gym.envs.place import Place
from nfd_gym.errors import UsageError
from nfd_gym.runtime.forked import about_to_run
from nfd_gym.runtime.resize import resize, resize_depth
from nfd_gym.runtime.starts import Start, drawn_start, placed_start
from nfd_gym.settings import nearest
from nfd_gym.world import World

OPTIONS = ("frames", "actions", "depth", "eye", "start", "state", "place")


def own_start(
    options: Mapping[str, Any], codec: ActionCodec, space: gymnasium.Space[Any], world: World
) -> Start | None:
    """The start that `reset(options=...)` brings along, or None if it brings no frames."""
    for name in options:
        if name not in OPTIONS:
            raise UsageError(
                f"no reset option {name!r}; did you mean {nearest(str(name), OPTIONS)!r}?"
            )
    if "state" in options:
        if len(options) > 1:
            raise UsageError("give options['state'] alone: the frame is drawn from it.")
        return drawn_start(world, np.asarray(options["state"], np.float64))
    if "place" in options:
        if len(options) > 1:
            raise UsageError("give options['place'] alone: the frame is drawn there.")
        return at_place(world, options["place"])
    if "frames" not in options:
        if beside := [name for name in ("actions", "depth", "eye") if name in options]:
            raise UsageError(f"options {beside} describe frames; give 'frames' too.")
        return None
    if "start" in options:
        raise UsageError("give options['frames'] or options['start'], not both.")
    frames = np.asarray(options["frames"])
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise UsageError(
            "options['frames'] must be uint8 (T, H, W, 3) with T >= 1, got "
            f"{frames.dtype} {frames.shape}."
        )
    needed = {"depth": world.has_depth, "eye": world.needs_poses}
    if missing := [name for name, wanted in needed.items() if wanted and name not in options]:
        raise UsageError(
            f"world {world.name!r} has a camera: give options {missing} of the frames as well, or "
            "begin from one of its start clips with options={'start': i}."
        )
    for name, wanted in needed.items():
        if name in options and not wanted:
            raise UsageError(f"world {world.name!r} takes no {name!r}; leave the option out.")
    count = len(frames)
    vectors = _vectors(options.get("actions"), count, codec, space)
    depth = _depth(options.get("depth"), frames, world)
    eye = np.asarray(options.get("eye", np.zeros((count, 0))), np.float32)
    width = world.pose_width if world.needs_poses else 0
    if eye.shape != (count, width) or not np.isfinite(eye).all():
        raise UsageError(
            f"options['eye'] must be {(count, width)} finite numbers, got shape {eye.shape}."
        )
    tail = slice(-(world.denoiser.config.window + 1), None)
    about_to_run()
    pictures = resize(torch.from_numpy(np.ascontiguousarray(frames[tail])), world.size).numpy()
    return Start(pictures, vectors[tail], depth[tail], eye[tail])


def at_place(world: World, place: Any) -> Start:
    """The start at a place given as {"position", "yaw", "pitch"}."""
    if not isinstance(place, Mapping):
        raise UsageError(
            "options['place'] is a position and angles, such as "
            f'{{"position": (10, -3), "yaw": 90}}, got {place!r}.'
        )
    where = Place.parse(place)
    return placed_start(world, where.position, where.yaw, where.pitch)


def _depth(depth: Any, frames: NDArray[np.uint8], world: World) -> NDArray[np.uint16]:
    if depth is None:
        return np.zeros((len(frames), 0, 0), np.uint16)
    planes = np.asarray(depth)
    if planes.dtype != np.uint16 or planes.shape != frames.shape[:3]:
        raise UsageError(
            f"options['depth'] must be uint16 {frames.shape[:3]} (inverse depth, 16384 = 1 per "
            f"metre), got {planes.dtype} {planes.shape}."
        )
    return resize_depth(planes, world.size)


def _vectors(
    actions: Any, count: int, codec: ActionCodec, space: gymnasium.Space[Any]
) -> NDArray[np.float32]:
    """Actions of the env's space, or already codec vectors (T, A), as vectors."""
    if actions is None:
        if count > 1:
            raise UsageError(
                f"options['frames'] holds {count} frames; give options['actions'] as well, one per "
                "frame: actions[i] produced frames[i]."
            )
        return np.zeros((1, codec.width), np.float32)
    if len(actions) != count:
        raise UsageError(
            f"options['actions'] holds {len(actions)} actions for {count} frames; give one "
            "per frame."
        )
    ready = isinstance(actions, np.ndarray) and actions.dtype.kind == "f"
    if ready and actions.shape == (count, codec.width) and space.shape != (codec.width,):
        vectors = np.asarray(actions, np.float32)
        if not np.isfinite(vectors).all():
            raise UsageError("options['actions'] must be finite numbers.")
        return vectors
    first = [actions[0] if actions[0] is not None else codec.noop()]  # what made frame 0 is unused
    return np.stack([codec.encode(action) for action in [*first, *actions[1:]]])
