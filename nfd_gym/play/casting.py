"""From the command line to envs on stage: which world, which real game, which device."""

import argparse
from typing import Any

import gymnasium

import nfd_gym  # noqa: F401  registers the ids
from nfd_gym.errors import NfdError, UsageError
from nfd_gym.play.mirror import Mirror
from nfd_gym.play.stage import Stage, Twin
from nfd_gym.shipped import DEFAULT_WORLD


def make_stage(args: argparse.Namespace) -> Stage | Twin:
    """The env, the twin, or both side by side that the options ask for."""
    if args.env:
        return Stage(_make(args.env), args.env.split(":")[-1], "env")
    if not args.twin:
        return _dream(args)
    dream = _dream(args)
    height, width = dream.env.observation_space.shape[:2]
    try:
        wants = {"depth": True} if "depth" in dream.raw.takes else {}
        env = _make("Luanti-v0", action_space="minerl", size=(width, height), **wants)
    except gymnasium.error.DependencyNotInstalled as error:
        raise UsageError(f"--twin needs the real game: {error}") from None
    # It remembers as much as the dream can take in.
    real = Stage(env, "Luanti", "real", memory=dream.past.maxlen)
    return Mirror(real, dream) if args.side_by_side else Twin(real, dream)


def _dream(args: argparse.Namespace) -> Stage:
    from nfd_gym.envs.nfd_env import NFDEnv
    from nfd_gym.runtime.open_world import open_world

    world = open_world(args.world or DEFAULT_WORLD, args.device)
    presets = world.codec.presets

    def make(steps: int | None) -> gymnasium.Env:
        return NFDEnv(  # without a time limit
            world,
            render_mode="rgb_array",
            # The preset without loss where there is one: the mouse is finer than VPT's bins.
            action_space="minerl" if "minerl" in presets else presets[0],
            device=args.device,
            engine=args.engine,
            steps=steps,
            speculate=args.speculate,
            timings=True,
        )

    env = make(args.steps)
    memory = env.dream.session.undo_limit + 1
    return Stage(env, world.name, memory=memory, remake=make)


def _make(env_id: str, **kwargs: Any) -> gymnasium.Env:
    """An env that renders pictures, without an episode limit: the player decides when to stop."""
    try:
        return gymnasium.make(
            env_id,
            render_mode="rgb_array",
            max_episode_steps=-1,
            disable_env_checker=True,
            **kwargs,
        )
    except ModuleNotFoundError as error:
        if isinstance(error, NfdError):
            raise
        raise UsageError(f"{env_id}: {error}; install the package it needs") from error
