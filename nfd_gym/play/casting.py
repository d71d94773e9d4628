"""From the command line to envs on stage: which world, which real game, which device."""

import argparse

import gymnasium

import nfd_gym  # noqa: F401  registers the ids
from nfd_gym.play.mirror import Mirror
from nfd_gym.play.stage import Stage, Twin


def make_stage(args: argparse.Namespace) -> Stage | Twin:
    """The env, the twin, or both side by side that the options ask for."""
    if args.env:
        return Stage(_make(args.env), args.env.split(":")[-1], "env")
    raise NotImplementedError


def _make(env_id: str, **kwargs) -> gymnasium.Env:
    """An env that renders pictures, without an episode limit: the player decides when to stop."""
    return gymnasium.make(
        env_id, render_mode="rgb_array", max_episode_steps=-1, disable_env_checker=True, **kwargs
    )
