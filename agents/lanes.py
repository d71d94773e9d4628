"""Lanes to train in: the dream or the real game as one VecEnv, by the same words."""

import argparse
from dataclasses import dataclass, fields
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecFrameStack, VecMonitor

import nfd_gym
from agents.rivals import GREY
from agents.sb3_vec import SB3Vec
from agents.threads import ThreadVectorEnv
from nfd_gym.actions import ActionCodec
from nfd_gym.envs.config import STARTS
from nfd_gym.envs.tasks import TASKS
from nfd_gym.envs.vector_env import NFDVectorEnv
from nfd_gym.errors import UsageError
from nfd_gym.runtime.resize import resize
from nfd_gym.world import World

TASK = "explore"  # where neither an id nor a user says one


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Where an agent lives. Times are in ticks: 20 ticks are one second of the game."""

    env: str = "NFD-Minecraft-v0"
    world: str | World | None = None  # of a dream; None: the one that the id names
    task: str | None = None  # None: the one that the id names, else "explore"
    starts: str = "clips"  # of a dream; "anywhere": places of the island, as the game begins
    split: str | None = "train"  # start clips of a dream; scores are made on "test"
    action_space: str = "discrete"
    lanes: int = 16
    horizon: int = 200  # an episode's length; short, because dreams drift
    view: tuple[int, int] = (96, 56)  # width, height of what the policy sees
    stack: int = 3  # pictures that the policy sees at once, `repeat` ticks apart
    repeat: int = 4  # ticks that an action is held
    blank: bool = False  # the policy sees grey: what is left are habits
    max_drift: float | None = None  # of a dream: truncate when it is that odd
    device: str = "cpu"
    engine: str = "auto"

    def __post_init__(self) -> None:
        if min(self.lanes, self.horizon, self.stack, self.repeat) < 1:
            raise UsageError(f"lanes, horizon, stack and repeat are at least 1, got {self}.")
        if self.horizon % self.repeat:
            raise UsageError(
                f"a horizon of {self.horizon} ticks is no multiple of repeat={self.repeat}; "
                f"choose {self.horizon // self.repeat * self.repeat or self.repeat}."
            )

    @property
    def dreams(self) -> bool:
        return gymnasium.spec(self.env).entry_point == nfd_gym.NFD_ENV

    def facts(self) -> dict[str, Any]:
        """The setup as JSON."""
        world = self.world.name if isinstance(self.world, World) else self.world
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        return {**plain, "world": world, "view": list(self.view)}


def make_lanes(setup: Setup) -> VecEnv:
    """The VecEnv that SB3 trains in: episodes counted by VecMonitor, pictures stacked."""
    held = setup.repeat if setup.dreams else 1  # ticks that the env itself holds an action
    vector = make_vector(setup, setup.view, held)
    lanes: VecEnv = VecMonitor(SB3Vec(vector, setup.repeat // held))
    if setup.blank:
        lanes = Blank(lanes)
    return VecFrameStack(lanes, setup.stack) if setup.stack > 1 else lanes


def make_vector(
    setup: Setup, size: tuple[int, int] | None = None, hold: int = 1
) -> VectorEnv[Any, Any, Any]:
    """The Gymnasium vector env, pictures of `size` or the world's own; a dream's actions are held
    for `hold` ticks, of which it draws the last one alone where it can."""
    if not setup.dreams:
        return ThreadVectorEnv([lambda: _real(setup, size)] * setup.lanes)
    given = dict(gymnasium.spec(setup.env).kwargs)
    if setup.world is not None:
        given["world"] = setup.world
    if "world" not in given:
        raise UsageError(f"{setup.env} names no world; give --world FOLDER.")
    given |= {
        "task": setup.task or given.get("task", TASK),
        "starts": setup.starts,
        "split": setup.split,
        "action_space": setup.action_space,
        "max_episode_steps": setup.horizon,
        "max_drift": setup.max_drift,
        "frame_skip": hold,
        "size": size,
        "device": setup.device,
        "engine": setup.engine,
    }
    return NFDVectorEnv(num_envs=setup.lanes, render_mode="rgb_array", **given)


def codec_of(lanes: VecEnv) -> ActionCodec:
    """The codec of the lanes' actions, preset included."""
    codec: ActionCodec = lanes.get_attr("codec")[0]
    return codec


def _real(setup: Setup, size: tuple[int, int] | None) -> gymnasium.Env[Any, Any]:
    given: dict[str, Any] = {}
    if gymnasium.spec(setup.env).entry_point == nfd_gym.LUANTI_ENV:
        given = {
            "task": setup.task or TASK,
            "action_space": setup.action_space,
        }
    env = gymnasium.make(
        setup.env, max_episode_steps=setup.horizon, render_mode="rgb_array", **given
    )
    return env if size is None else View(env, size)


class View(gymnasium.ObservationWrapper[Any, Any, Any]):
    """Pictures of another size, area-averaged by the very function that the dream uses.

    Rendering the game smaller would be another picture: crosshair, textures and far blocks differ.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], size: tuple[int, int]) -> None:
        super().__init__(env)
        self.size = size
        self.observation_space = gymnasium.spaces.Box(0, 255, (size[1], size[0], 3), np.uint8)

    def observation(self, observation: Any) -> Any:
        return resize(torch.from_numpy(np.ascontiguousarray(observation)), self.size).numpy()


class Blank(VecEnvWrapper):
    """Pictures of grey in place of what there is to see."""

    def reset(self) -> Any:
        return np.full_like(self.venv.reset(), GREY)

    def step_wait(self) -> Any:
        frames, rewards, dones, infos = self.venv.step_wait()
        for info in infos:
            if "terminal_observation" in info:
                info["terminal_observation"] = np.full_like(info["terminal_observation"], GREY)
        return np.full_like(frames, GREY), rewards, dones, infos


def add_arguments(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """The options of a Setup; `defaults` replace the dataclass's own."""
    usual = Setup(**defaults)
    add = parser.add_argument_group("where the agent lives").add_argument
    add("--env", default=usual.env, help=f"an id of nfd_gym, learned or real ({usual.env})")
    add("--world", help="world folder or name of a dream (default: the one that the id names)")
    add("--task", default=usual.task, choices=tuple(TASKS),
        help=f"of the island (the id's own, else {TASK})")  # fmt: skip
    add("--starts", default=usual.starts, choices=STARTS,
        help=f"of a dream: its clips, or anywhere on the island ({usual.starts})")  # fmt: skip
    add("--split", default=usual.split,
        help=f"start clips of a dream: train, test or openings ({usual.split})")  # fmt: skip
    add("--action-space", default=usual.action_space,
        help=f"multidiscrete, discrete or box ({usual.action_space})")  # fmt: skip
    add("--lanes", type=int, default=usual.lanes, help=f"episodes at the same time ({usual.lanes})")
    add("--horizon", type=int, default=usual.horizon, help=f"ticks of an episode ({usual.horizon})")
    add("--view", type=int, nargs=2, default=usual.view, metavar=("WIDTH", "HEIGHT"),
        help="what the policy sees (96 56)")  # fmt: skip
    add("--stack", type=int, default=usual.stack, help=f"pictures seen at once ({usual.stack})")
    add(
        "--repeat", type=int, default=usual.repeat, help=f"ticks an action is held ({usual.repeat})"
    )
    add("--blank", action="store_true", help="control: the policy sees grey")
    add("--max-drift", type=float, help="end a dream that is this many times odder than reality")
    add("--device", default=usual.device, help="cpu or cuda, of the dream and of the policy (cpu)")
    add("--engine", default=usual.engine, help=f"how the dream is drawn ({usual.engine})")


def setup_of(args: argparse.Namespace) -> Setup:
    """The Setup that the options describe."""
    chosen = {field.name: getattr(args, field.name) for field in fields(Setup)}
    return Setup(**{**chosen, "view": tuple(chosen["view"])})
