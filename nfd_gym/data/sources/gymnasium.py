"""Recording: any Gymnasium environment, any policy, into a store."""

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from nfd_gym.actions import ActionCodec, codec_for_space
from nfd_gym.data.clip import DataError, Event, Frames
from nfd_gym.data.store import ClipWriter

Policy = Callable[[Any, gymnasium.Env[Any, Any]], Any]  # (observation, env) -> action


def find_codec(env: gymnasium.Env[Any, Any]) -> ActionCodec:
    """The environment's own codec, or the one that fits its action space."""
    if env.has_wrapper_attr("codec"):
        codec: ActionCodec = env.get_wrapper_attr("codec")
        return codec
    return codec_for_space(env.action_space)


def find_policy(name: str, env: gymnasium.Env[Any, Any]) -> Policy:
    """ "random", or MODULE:CALLABLE with the signature policy(observation, env) -> action."""
    if name == "random":
        return lambda observation, env: env.action_space.sample()
    module, colon, attribute = name.partition(":")
    if not colon:
        raise DataError(f"--policy {name}: write random or MODULE:CALLABLE.")
    try:
        policy = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise DataError(f"--policy {name}: {error}; is the module on PYTHONPATH?") from error
    if inspect.isclass(policy):
        policy = policy()
    if not callable(policy):
        raise DataError(f"--policy {name}: {attribute} cannot be called.")
    found: Policy = policy
    return found


def picture_of(env: gymnasium.Env[Any, Any], observation: Any) -> Frames:
    """The frame of this moment: the observation if it is a picture, else what render() draws."""
    value = observation
    if isinstance(value, dict):
        pictures = [part for part in value.values() if _is_picture(part)]
        value = pictures[0] if len(pictures) == 1 else None
    if not _is_picture(value):
        value = env.render()
    if not _is_picture(value):
        raise DataError(
            f"{env}: neither the observation nor render() is a uint8 (H, W, 3) picture; make it "
            'with render_mode="rgb_array".'
        )
    return np.array(value)


def record_episode(
    env: gymnasium.Env[Any, Any],
    policy: Policy,
    writer: ClipWriter,
    name: str,
    *,
    frames: int,
    seed: int,
    progress: Callable[[int], None] = lambda added: None,
) -> int:
    """Side effect: records one episode of at most `frames` frames as a clip; returns its length.

    Ctrl-C keeps what was recorded of this episode and is raised again.
    """
    codec = find_codec(env)
    noop = codec.encode(codec.noop())
    with writer.clip(name, {"seed": seed}) as clip:
        interrupted: KeyboardInterrupt | None = None
        try:
            observation, info = env.reset(seed=seed)
            clip.add(picture_of(env, observation), noop, **camera_of(info, writer.depth))
            progress(1)
            done = False
            while clip.frames < frames and not done:
                action = policy(observation, env)
                observation, reward, terminated, truncated, info = env.step(action)
                done = terminated or truncated
                clip.add(
                    picture_of(env, observation),
                    codec.encode(action),
                    reward=float(reward),
                    events=events_of(info, clip.frames),
                    pitch=info.get("pitch"),
                    **camera_of(info, writer.depth),
                )
                progress(1)
        except KeyboardInterrupt as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted
    return clip.frames


def events_of(info: dict[str, Any], frame: int) -> list[Event]:
    """Events that an environment reports in info["events"]: (kind, name) pairs or objects."""
    return [Event.from_info(frame, item) for item in info.get("events", ())]


def has_depth(info: dict[str, Any]) -> bool:
    """Whether an environment reports info["depth"], uint16 (H, W), and info["eye"], the pose."""
    return info.get("depth") is not None and info.get("eye") is not None


def camera_of(info: dict[str, Any], depth: bool) -> dict[str, Any]:
    """Depth and pose of this frame, for a store that keeps them."""
    return {"depth": info.get("depth"), "pose": info.get("eye")} if depth else {}


def _is_picture(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.dtype == np.uint8
        and value.ndim == 3
        and value.shape[-1] == 3
    )
