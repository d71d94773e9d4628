"""`python -m nfd_gym record --env ID --out DIR`: play an environment and keep the recording.

Games with scripted players of their own are recorded with these unless a policy is named; the
command line hands their recorders in as `args.recorders`, for this package knows no game.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium

from nfd_gym import settings
from nfd_gym.data.clip import DataError
from nfd_gym.data.sources.gymnasium import (
    find_codec,
    find_policy,
    has_depth,
    picture_of,
    record_episode,
)
from nfd_gym.data.store import ClipWriter
from nfd_gym.progress import Progress


@dataclass(frozen=True, kw_only=True)
class RecordSettings:
    """How an environment is recorded."""

    seed: int = 0  # of the first episode; the next ones count up
    episode_frames: int | None = None  # longest clip; None: 2000, or as the game's players choose
    crf: int | None = None  # x264 quality, 0 is lossless; None: 18, with depth 14
    gop: int = 10  # frames from one key frame to the next
    fps: float | None = None  # None: the environment's render_fps


# environment id -> records with the game's own players; returns the exit code
Recorders = Mapping[str, Callable[[argparse.Namespace], int]]

LONGEST = 2000

PRESETS = {"default": RecordSettings(), "lossless": RecordSettings(crf=0)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", required=True, help="a Gymnasium id, or module:ID to import first")
    parser.add_argument("--out", required=True, help="the store to create or continue")
    parser.add_argument(
        "--policy",
        help="random or MODULE:CALLABLE (default: the game's own players where it has any)",
    )
    parser.add_argument("--frames", type=int, default=1000, help="frames in all (default 1000)")
    parser.add_argument(
        "--hours", type=float, help="instead of --frames, for the game's own players"
    )
    parser.add_argument("--workers", type=int, default=1, help="with --hours: games side by side")
    parser.add_argument("--probes", action="store_true", help="fixed scripts (Luanti-v0)")
    parser.add_argument(
        "--make",
        action="append",
        default=[],
        metavar="name=value",
        help="an argument for gymnasium.make; may be repeated",
    )
    settings.add_arguments(parser, PRESETS)


def main(args: argparse.Namespace) -> int:
    chosen = settings.resolve(args, PRESETS)
    if args.dry_run:
        print(settings.show(chosen))
        return 0
    recorders: Recorders = getattr(args, "recorders", {})
    if args.policy is None and args.env in recorders:
        return recorders[args.env](args)
    if args.hours is not None or args.probes:
        known = ", ".join(sorted(recorders)) or "none"
        raise DataError(
            f"--hours and --probes are for the players of {known} and no other policy; use "
            "--frames."
        )
    policy = args.policy or "random"
    frames, clips = record(args.env, policy, args.frames, args.out, chosen, args.make)
    print(f"{args.out}: {frames:,} frames in {clips} clips")
    return 0


def record(
    env_id: str, policy: str, frames: int, out: str, chosen: RecordSettings, make: list[str]
) -> tuple[int, int]:
    """Side effect: records until the store holds `frames` frames. Returns its frames and clips."""
    if frames < 2:
        raise DataError(f"--frames {frames}: at least 2 frames are needed.")
    env = make_env(env_id, make)
    try:
        act = find_policy(policy, env)
        observation, info = env.reset(seed=chosen.seed)
        height, width = picture_of(env, observation).shape[:2]
        fps = chosen.fps or float(env.metadata.get("render_fps") or 20.0)
        writer = ClipWriter(
            out,
            find_codec(env),
            fps=fps,
            size=(height, width),
            crf=chosen.crf,
            gop=chosen.gop,
            depth=has_depth(info),
            about={"env": env_id, "policy": policy},
        )
        done = sum(int(entry["frames"]) for entry in writer.entries.values())
        stem = env_id.replace("/", "-").replace(":", "-")
        seed = chosen.seed
        with Progress(frames, "frames") as bar:
            bar.add(min(done, frames))
            while done < frames:
                name = f"{stem}-{seed:06d}"
                if name not in writer:
                    env.action_space.seed(seed)
                    length = min(chosen.episode_frames or LONGEST, frames - done)
                    done += record_episode(
                        env, act, writer, name, frames=length, seed=seed, progress=bar.add
                    )
                seed += 1
        return done, len(writer.entries)
    finally:
        env.close()  # type: ignore[no-untyped-call]


def make_env(env_id: str, make: list[str]) -> gymnasium.Env[Any, Any]:
    """gymnasium.make with rgb_array rendering and the --make arguments."""
    arguments: dict[str, Any] = {"render_mode": "rgb_array"}
    for assignment in make:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise DataError(f"--make {assignment}: write it as name=value.")
        try:
            arguments[name] = json.loads(text)
        except ValueError:
            arguments[name] = text  # a bare word is a string
    try:
        return gymnasium.make(env_id, **arguments)
    except gymnasium.error.Error as error:
        raise DataError(f"--env {env_id}: {error}") from error
    except ImportError as error:
        raise DataError(f"--env {env_id}: {error}; install the package it needs.") from error
