"""rl_zoo3: one env per lane, without the batched model. agents/README.md has the command."""

from typing import Any

from agents.hyperparams import PPO

_SHARED: dict[str, Any] = {
    "policy": "CnnPolicy",
    "n_envs": 8,
    "n_timesteps": 250_000,
    "frame_stack": 3,
    "env_wrapper": [{"rl_zoo3.wrappers.FrameSkip": {"skip": 4}}],
    **PPO,
}

# Pass --env-kwargs task:"'tower'" action_space:"'discrete'" size:"(96,56)" max_episode_steps:200
hyperparams: dict[str, dict[str, Any]] = {"NFD-Minecraft-v0": _SHARED, "NFD-v0": _SHARED}
