"""What `reset(options=...)` may bring: the user's own frames, checked and cut to the window."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.actions import ActionCodec
from nfd_gym.runtime.resize import resize
from nfd_gym.runtime.starts import Start
from nfd_gym.settings import nearest
from nfd_gym.world import WorldModel

OPTIONS = ("frames", "actions", "pitch", "start")


def own_start(
    options: Mapping[str, Any], codec: ActionCodec, space: gymnasium.Space[Any], world: WorldModel
) -> Start | None:
    """The start that `reset(options=...)` brings along, or None if it brings no frames."""
    for name in options:
        if name not in OPTIONS:
            raise ValueError(
                f"no reset option {name!r}; did you mean {nearest(str(name), OPTIONS)!r}?"
            )
    if "frames" not in options:
        if "actions" in options or "pitch" in options:
            raise ValueError("options 'actions' and 'pitch' describe frames; give 'frames' too.")
        return None
    if "start" in options:
        raise ValueError("give options['frames'] or options['start'], not both.")
    frames = np.asarray(options["frames"])
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise ValueError(
            "options['frames'] must be uint8 (T, H, W, 3) with T >= 1, got "
            f"{frames.dtype} {frames.shape}."
        )
    count = len(frames)
    vectors = _vectors(options.get("actions"), count, codec, space)
    pitch = np.asarray(options.get("pitch", np.zeros(count)), np.float32)
    if pitch.shape != (count,) or not np.isfinite(pitch).all():
        raise ValueError(f"options['pitch'] must be {count} degrees, got shape {pitch.shape}.")
    tail = slice(-(world.denoiser.config.window + 1), None)
    pictures = resize(torch.from_numpy(np.ascontiguousarray(frames[tail])), world.size).numpy()
    return Start(pictures, vectors[tail], pitch[tail])


def _vectors(
    actions: Any, count: int, codec: ActionCodec, space: gymnasium.Space[Any]
) -> NDArray[np.float32]:
    """Actions of the env's space, or already codec vectors (T, A), as vectors."""
    if actions is None:
        if count > 1:
            raise ValueError(
                f"options['frames'] holds {count} frames; give options['actions'] as well, one per "
                "frame: actions[i] produced frames[i]."
            )
        return np.zeros((1, codec.width), np.float32)
    if len(actions) != count:
        raise ValueError(
            f"options['actions'] holds {len(actions)} actions for {count} frames; give one "
            "per frame."
        )
    ready = isinstance(actions, np.ndarray) and actions.dtype.kind == "f"
    if ready and actions.shape == (count, codec.width) and space.shape != (codec.width,):
        vectors = np.asarray(actions, np.float32)
        if not np.isfinite(vectors).all():
            raise ValueError("options['actions'] must be finite numbers.")
        return vectors
    first = [actions[0] if actions[0] is not None else codec.noop()]  # what made frame 0 is unused
    return np.stack([codec.encode(action) for action in [*first, *actions[1:]]])
