"""`nfd-gym play`: play a learned world in a window, in a browser or into a film."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import numpy as np

from nfd_gym.errors import UsageError
from nfd_gym.extras import MissingExtra, install_line
from nfd_gym.play import OTHER_WAYS
from nfd_gym.play.bindings import Bindings, load_bindings
from nfd_gym.play.controls import make_controls
from nfd_gym.play.game import Game
from nfd_gym.play.inputs import Inputs
from nfd_gym.play.loop import Loop
from nfd_gym.play.players import Human, Player, log_player, policy_player, scripted_player
from nfd_gym.play.stage import Stage, Twin
from nfd_gym.shipped import DEFAULT_WORLD

PORT = 8765
SPECULATE = ("off", "ahead", "parallel", "auto")
# Guests of the browser view write to this machine's disk, so there is an end to it.
GUESTS_STILLS = 100
GUESTS_FRAMES = 20 * 60 * 60  # an hour


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `nfd-gym play`."""
    add = parser.add_argument
    add("--world", help=f"a world's folder or a shipped name (default: {DEFAULT_WORLD})")
    add("--env", metavar="ID", help="play any Gymnasium env instead, e.g. Luanti-v0")
    add("--twin", action="store_true", help="start in the real game Luanti; TAB enters the dream")
    add("--seed", type=int, default=0, help="the first place (default: 0)")
    add("--engine", default="auto", help="how a step is computed (default: auto)")
    add("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add("--steps", type=int, help="denoising steps per frame (default: the world's own)")
    add("--speculate", default="auto", choices=SPECULATE,
        help="draw likely next frames ahead (default: auto)")  # fmt: skip
    add("--agent", metavar="AGENT", help="a trained agent for key M: AGENT.zip or a shipped name")
    add("--record", action="store_true", help="record from the first frame on")
    add("--folder", type=Path, default=Path("plays"), help="recordings and screenshots (plays/)")
    hands = parser.add_argument_group("hands")
    hands.add_argument("--sensitivity", type=float, default=1.0, help="of the mouse (default: 1.0)")
    hands.add_argument("--invert-y", action="store_true", help="mouse up looks down")
    hands.add_argument("--bindings", type=Path, metavar="FILE", help='JSON such as {"jump": "k"}')
    web = parser.add_argument_group("in a browser")
    web.add_argument(
        "--web", action="store_true", help="serve on 127.0.0.1, behind a one-time link"
    )
    web.add_argument("--host", help="serve beyond this machine, unencrypted: prefer ssh -L or TLS")
    web.add_argument(
        "--port", type=int, default=PORT, help=f"(default: {PORT}; 0 finds a free one)"
    )
    film = parser.add_argument_group("without a display")
    film.add_argument("--headless", action="store_true", help="make a film and exit")
    film.add_argument("--frames", type=int, help="its length in frames")
    film.add_argument("--out", type=Path, metavar="FILE", help="a .mp4 or .gif file")
    film.add_argument("--actions", type=Path, metavar="LOG", help="play the actions of a recording")
    film.add_argument("--policy", help="random, scripted or an agent (default: scripted)")
    film.add_argument("--scale", type=int, default=1, help="enlarge each pixel (default: 1)")
    film.add_argument("--side-by-side", action="store_true", help="with --twin: real | dream")


def main(args: argparse.Namespace) -> int:
    """Play until the player has had enough; returns the exit code."""
    _check(args)
    bindings = load_bindings(args.bindings) if args.bindings else Bindings()
    if not args.web and not args.headless and not has_display():
        raise UsageError(f"there is no display here: {OTHER_WAYS}")
    return _film(args) if args.headless else _play(args, bindings)


def has_display() -> bool:
    """Whether a window can be opened; SDL's dummy driver counts, it is asked for by name."""
    if sys.platform in ("win32", "darwin") or os.environ.get("SDL_VIDEODRIVER"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _play(args: argparse.Namespace, bindings: Bindings) -> int:
    """A window or a browser on a live loop. Side effect: SIGTERM and Ctrl-C end it cleanly."""
    if args.web:
        serve = _need("nfd_gym.play.web", "aiohttp").serve
    else:
        window_class = _need("nfd_gym.play.viewer", "pygame").Window
    stage = _stage(args)
    codec = stage.real.codec if isinstance(stage, Twin) else stage.codec
    rng = np.random.default_rng(args.seed)
    keys = (stage.dream if isinstance(stage, Twin) else stage).keys
    hands = make_controls(codec, bindings, args.sensitivity, args.invert_y, keys)
    players: list[Player] = [Human(hands)]
    if args.agent:
        players.append(policy_player(args.agent, codec, rng))
    players.append(scripted_player(codec, rng))
    limits = {"most_stills": GUESTS_STILLS, "most_frames": GUESTS_FRAMES} if args.web else {}
    game = Game(stage, players, folder=args.folder, seed=args.seed, **limits)
    if args.record:
        game.command("record")
    loop = Loop(game, Inputs())
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda number, frame: loop.stop())
    if args.web:
        loop.asleep = True
        loop.start()
        try:
            asyncio.run(serve(loop, bindings, host=args.host, port=args.port))
        finally:
            loop.finish()
    else:
        height, width = game.view.frame.shape[:2]
        try:
            window = window_class(loop, bindings, (width, height))
        except ValueError:
            game.close()
            raise
        loop.start()
        try:
            window.run()
        finally:
            loop.finish()
    print(loop.report())
    return 0


def _film(args: argparse.Namespace) -> int:
    from nfd_gym.play.headless import film

    stage = _stage(args)
    codec = stage.real.codec if isinstance(stage, Twin) else stage.codec
    rng = np.random.default_rng(args.seed)
    if args.actions:
        player = log_player(args.actions, codec)
    else:
        player = policy_player(args.policy or "scripted", codec, rng)
    game = Game(stage, [player], folder=args.folder, seed=args.seed)
    if args.record:
        game.command("record")
    try:
        print(
            film(
                game, frames=args.frames, out=args.out, fps=round(game.stage.rate), scale=args.scale
            )
        )
    finally:
        game.close()
    return 0


def _stage(args: argparse.Namespace) -> Stage | Twin:
    from nfd_gym.play.casting import make_stage

    return make_stage(args)


def _check(args: argparse.Namespace) -> None:
    """Refuse what cannot work before a model is loaded."""
    if args.headless and (not args.frames or args.frames < 1 or args.out is None):
        raise UsageError("--headless needs --frames N and --out FILE.mp4 or FILE.gif")
    if args.headless and args.web:
        raise UsageError("choose one of --web and --headless")
    if args.actions and args.policy:
        raise UsageError("choose one of --actions and --policy")
    if args.scale < 1 or args.scale > 16:
        raise UsageError(f"--scale must be 1 to 16, not {args.scale}")
    if args.side_by_side and not (args.twin and args.headless):
        raise UsageError("--side-by-side needs --twin and --headless")
    if args.twin and args.env:
        raise UsageError("choose one of --twin and --env")
    if args.steps is not None and args.steps < 1:
        raise UsageError(f"--steps must be at least 1, not {args.steps}")
    if not 0 <= args.port <= 65535:
        raise UsageError(f"--port must be 0 to 65535, not {args.port}")
    if args.host and not args.web:
        raise UsageError("--host needs --web")


def _need(module: str, package: str):
    """A viewer module, or one sentence about the package that it needs."""
    try:
        return __import__(module, fromlist=["_"])
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "nfd_gym":
            raise
        raise MissingExtra(f"{package} is not installed; type: {install_line('play')}") from None
