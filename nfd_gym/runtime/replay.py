"""`python -m nfd_gym replay LOG`: draw a recorded episode again and compare every frame's hash.

A log is NDJSON. Its first line names the world; then every line is one thing that was done
("reset", "action", "undo" or "load") with the hash of the frame that it led to.
"""

import argparse
import base64
import hashlib
import io
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfd_gym.errors import NfdError
from nfd_gym.runtime.engines.make import NAMES
from nfd_gym.runtime.open_world import open_world
from nfd_gym.runtime.session import Session
from nfd_gym.runtime.starts import Start, Starts, starts_of
from nfd_gym.runtime.threads import settle
from nfd_gym.world import World

KIND, FORMAT = "nfd_gym log", 2
HEADER = {"world": str, "fingerprint": str, "engine": str, "steps": int}


class LogError(NfdError, ValueError):
    """A log that cannot be read or written; the message names file and line."""


class Log:
    """Writes down what is done to a session of one environment, a line at a time."""

    def __init__(self, file: str | Path, session: Session) -> None:
        if session.num_envs != 1:
            raise LogError(f"a log holds one environment, this session has {session.num_envs}.")
        if session.speculator.mode == "parallel":
            raise LogError(
                "parallel speculation depends on measured times and cannot be replayed; log with "
                "speculate='ahead' or 'off'."
            )
        self.session = session
        world = session.world
        self._handle = Path(file).open("w", encoding="utf-8", buffering=1)
        header = {
            "kind": KIND,
            "format": FORMAT,
            "world": world.name if world.path is None else str(world.path),
            "fingerprint": world.fingerprint,
            "engine": session.engine_name,
            "steps": len(session.sigmas),
        }
        self._handle.write(json.dumps(header) + "\n")

    def reset(self, start: Start, seed: int, clip: int | None) -> None:
        """`clip` is the index of the start clip; without one the frames themselves are written."""
        place: dict[str, Any] = {"start": clip} if clip is not None else {"clip": _packed(start)}
        self._write({"reset": place, "seed": seed})

    def step(self, vector: NDArray[np.float32]) -> None:
        self._write({"action": [float(x) for x in vector]})

    def undo(self, count: int) -> None:
        self._write({"undo": count})

    def load(self) -> None:
        """A state was loaded: it is written whole, since nothing before it leads there."""
        self._write({"load": base64.b64encode(self.session.save()).decode()})

    def close(self) -> None:
        self._handle.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._handle.write(json.dumps(line | {"sha": sha(self.session.frame[0])}) + "\n")


def sha(frame: NDArray[np.uint8]) -> str:
    """Sixteen hex digits that change with any pixel."""
    return hashlib.sha256(np.ascontiguousarray(frame).tobytes()).hexdigest()[:16]


def replay(
    lines: list[dict[str, Any]], session: Session, starts: Starts
) -> Iterator[tuple[int, NDArray[np.uint8], bool]]:
    """(line number, frame, whether its hash is the recorded one) for every line but the header."""
    for number, line in enumerate(lines, start=2):
        try:
            frame = _do(line, session, starts)
            same = sha(frame) == line["sha"]
        except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise LogError(f"line {number} of the log cannot be replayed: {error}") from error
        yield number, frame, same


def read_log(file: str | Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and lines of a log; a last line cut short by a crash is left out."""
    path = Path(file)
    if not path.is_file():
        raise LogError(f"no log at {path}.")
    parsed: list[dict[str, Any]] = []
    texts = path.read_text("utf-8").splitlines()
    for number, text in enumerate(texts, start=1):
        try:
            parsed.append(json.loads(text))
        except ValueError as error:
            if number == len(texts) and number > 1:
                break
            raise LogError(f"{path}:{number} is not JSON ({error}).") from error
    head = parsed[0] if parsed and isinstance(parsed[0], dict) else {}
    if head.get("kind") != KIND or head.get("format") != FORMAT:
        raise LogError(f"{path} is no log of nfd_gym (format {FORMAT}).")
    for key, kind in HEADER.items():
        if not isinstance(head.get(key), kind):
            raise LogError(f"{path}:1 does not name the {key}; record the log again.")
    return head, parsed[1:]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", type=Path, metavar="LOG", help="what NFDEnv(log=...) or play wrote")
    parser.add_argument("--world", help="the world's folder or name, if it has moved")
    parser.add_argument("--engine", choices=NAMES, help="default: the one that drew the log")
    parser.add_argument("--device", default="cpu")


def main(args: argparse.Namespace) -> int:
    """0 if every frame is bit for bit the recorded one, 1 if not, 2 if the log is unusable."""
    settle()
    try:
        header, lines = read_log(args.log)
        world = open_world(args.world or header["world"], args.device)
        _check_world(header, world)
        engine = args.engine or header["engine"]
        session = Session(world, engine=engine, steps=header["steps"], device=args.device)
        seen = [(number, same) for number, _, same in replay(lines, session, starts_of(world))]
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    different = [number for number, same in seen if not same]
    print(f"{len(seen)} frames drawn with engine {engine} by world {world.name}")
    if different:
        print(f"{len(different)} differ from the log, the first at line {different[0]}")
        return 1
    print("every frame equals the log bit for bit")
    return 0


def _check_world(header: Mapping[str, Any], world: World) -> None:
    found = world.fingerprint
    if header["fingerprint"] != found:
        raise LogError(
            f"the log was drawn by world {header['fingerprint']}, and {world.name!r} is {found}; "
            "give the right one with --world."
        )


def _do(line: Mapping[str, Any], session: Session, starts: Starts) -> NDArray[np.uint8]:
    if "reset" in line:
        place = line["reset"]
        start = starts.clip(place["start"]) if "start" in place else _unpacked(place["clip"])
        clip = (start.frames[None], start.actions[None], start.depth[None], start.poses[None])
        frames = session.reset(*clip, [line["seed"]])
    elif "action" in line:
        frames = session.step(np.array([line["action"]], np.float32))
    elif "undo" in line:
        frames = session.undo(line["undo"])
    elif "load" in line:
        frames = session.load(base64.b64decode(line["load"]))
    else:
        raise LogError(f"nothing to do in it: {sorted(line)}")
    shown: NDArray[np.uint8] = frames[0]
    return shown


def _packed(start: Start) -> str:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **asdict(start))
    return base64.b64encode(buffer.getvalue()).decode()


def _unpacked(text: str) -> Start:
    with np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False) as parts:
        return Start(parts["frames"], parts["actions"], parts["depth"], parts["poses"])
