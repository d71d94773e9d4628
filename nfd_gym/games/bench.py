"""`python -m nfd_gym bench games`: how fast the twin runs, and whether it leaves anything behind.

The speed is measured through `env.step` with a scripted player: on the island with depth, and in
Minetest Game's grassland.
`--steps N` adds one long run with its memory, `--cycles N` starts and ends the game N times, every
tenth time by killing the controlling process at a random moment.
"""

import argparse
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nfd_gym.games.luanti.env import LuantiEnv
from nfd_gym.games.luanti.folder import PREFIX
from nfd_gym.games.luanti.player import Player
from nfd_gym.games.luanti.players import Builder, Explorer

SUPERVISOR = "luanti/supervisor.py"  # as it appears in a command line
GAMES = ("island", "minetest")
RESETS = 7  # of which the median is told
# The victim of a kill cycle: says "alive" and plays until it is killed.
VICTIM = """
import nfd_gym
from nfd_gym.games.luanti.env import LuantiEnv
print("alive", flush=True)
env = LuantiEnv(action_space="discrete")
while True:
    env.reset(seed=0)
    for tick in range(200):
        env.step(tick % 5)
"""


def speed(game: str, steps: int, seed: int = 0) -> dict[str, float]:
    """Steps per second and their latency, after 40 steps of warm-up; start and reset in seconds.

    `cpu_ms` is the processor time per step of game, display and this process together: it says what
    a machine can do even when it is busy with other things."""
    begin = time.perf_counter()
    island = game == "island"
    env = LuantiEnv(
        action_space="minerl", game=game, depth=island, place=None if island else "grassland"
    )
    resets = []
    try:
        _, info = env.reset(seed=seed)
        started = time.perf_counter()
        for _ in range(RESETS if island else 1):
            before = time.perf_counter()
            _, info = env.reset()
            resets.append(time.perf_counter() - before)
        player: Any = Explorer(seed) if island else Player(seed)
        times = []
        for step in range(40 + steps):
            if step == 40:
                busy = _processor_ms()
            action = player.act(info)
            before = time.perf_counter()
            _, _, _, _, info = env.step(action)
            times.append(time.perf_counter() - before)
        busy = _processor_ms() - busy
    finally:
        env.close()
    ms = 1000 * np.array(times[40:])
    return {
        "steps_per_s": round(1000 / float(ms.mean()), 1),
        "p50_ms": round(float(np.percentile(ms, 50)), 2),
        "p99_ms": round(float(np.percentile(ms, 99)), 2),
        "cpu_ms": round(busy / steps, 2),
        "start_s": round(started - begin, 2),
        "reset_s": round(float(np.median(resets)), 2),
    }


def endurance(steps: int, seed: int = 0) -> dict[str, Any]:
    """One episode of `steps` steps: speed and memory (MB) of the game and of this process, early
    (after a tenth) and at the end."""
    env = LuantiEnv(action_space="minerl", depth=True)
    memory: list[dict[str, int]] = []
    try:
        _, info = env.reset(seed=seed)
        player, begin = Builder(seed), time.perf_counter()
        for step in range(1, steps + 1):
            _, _, _, _, info = env.step(player.act(info))
            if step % (steps // 10) == 0:
                memory.append({name: _resident_mb(pid) for name, pid in _family().items()})
                print(f"  {step} steps, resident MB: {memory[-1]}", flush=True)
    finally:
        env.close()
    seconds = time.perf_counter() - begin
    return {"steps": steps, "steps_per_s": round(steps / seconds, 1), "memory_mb": memory}


def cycles(count: int, seed: int = 0) -> dict[str, Any]:
    """Starts and ends the game `count` times, every tenth with SIGKILL to its controller. Returns
    what was left behind: processes, folders, X sockets and shared memory that are new since."""
    from nfd_gym.games.luanti.game import Game  # needs python-xlib, which `bench --help` must not

    chance, starts = random.Random(seed), []
    with own_temporary_folder() as root:
        before = traces(root)
        for cycle in range(count):
            if cycle % 10 == 9:
                _kill_a_controller(chance.uniform(0.0, 12.0))
                left = sorted(traces(root) - before)
                print(f"  {cycle + 1} cycles, left behind: {left or 'nothing'}", flush=True)
                continue
            begin = time.perf_counter()
            game = Game(192, 112, game="island")
            starts.append(time.perf_counter() - begin)
            for _ in range(chance.randrange(20)):
                game.step(frozenset({"forward"}), 3, 0)
            game.close()
        left = sorted(traces(root) - before)
    return {
        "cycles": count,
        "killed": count // 10,
        "left_behind": left,
        "start_s": {"p50": round(float(np.median(starts)), 2), "max": round(max(starts), 2)},
    }


def _kill_a_controller(after_s: float) -> None:
    """Returns as soon as its supervisor should be done, at most 15 s later."""
    victim = subprocess.Popen([sys.executable, "-c", VICTIM], stdout=subprocess.PIPE)
    assert victim.stdout is not None
    victim.stdout.readline()
    time.sleep(after_s)
    family = set(_family(victim.pid).values())
    victim.kill()
    victim.wait()
    victim.stdout.close()
    deadline = time.monotonic() + 15
    while any(_alive(pid) for pid in family) and time.monotonic() < deadline:
        time.sleep(0.1)


def traces(root: Path) -> set[str]:
    """Everything that instances below the temporary folder `root` have on this machine, by name:
    processes that were started with it as TMPDIR, what lies in it, and dead X sockets."""
    mark = f"TMPDIR={root}\0".encode()
    found = {f"process {pid} {name}" for pid, name in _processes() if mark in _environment(pid)}
    found |= {str(path) for path in root.glob(PREFIX + "*")}
    found |= {str(path) for path in Path("/tmp/.X11-unix").glob("X*") if _deserted(path)}
    return found | {str(path) for path in Path("/dev/shm").glob("*nfd*")}


@contextlib.contextmanager
def own_temporary_folder() -> Iterator[Path]:
    """Instances started inside keep apart from everybody else's. Side effect: TMPDIR meanwhile."""
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="nfd_bench_") as name:
        os.environ["TMPDIR"] = tempfile.tempdir = name
        try:
            yield Path(name)
        finally:
            os.environ.pop("TMPDIR")
            if before[0] is not None:
                os.environ["TMPDIR"] = before[0]
            tempfile.tempdir = before[1]


def _deserted(path: Path) -> bool:
    """A socket at which no X server answers."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
        except FileNotFoundError:
            pass
    return False


def _processes() -> Iterator[tuple[int, str]]:
    for path in Path("/proc").glob("[0-9]*"):
        try:
            yield int(path.name), (path / "comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def _family(root: int | None = None) -> dict[str, int]:
    """A process, this one by default, and the games and displays below it: name -> pid."""
    root = os.getpid() if root is None else root
    parents = {pid: _parent(pid) for pid, _ in _processes()}
    family = {"controller": root}
    for pid, name in _processes():
        ancestor: int | None = pid
        while ancestor is not None and ancestor != root:
            ancestor = parents.get(ancestor)
        if ancestor == root and pid != root:
            family["supervisor" if SUPERVISOR in _command(pid) else name] = pid
    return family


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _processor_ms() -> float:
    """Processor time that this process and its games have used so far."""
    ticks = 0
    for pid in _family().values():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return 1000.0 * ticks / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--speed-steps", type=int, default=400, help="steps per game, 0: skip")
    parser.add_argument("--steps", type=int, default=0, help="one long run of so many steps")
    parser.add_argument("--cycles", type=int, default=0, help="start and end the game so often")
    parser.add_argument("--json", help="also write the figures to this file")


def main(args: argparse.Namespace) -> int:
    """Prints a table and one line per figure; exit code 1 when something was left behind."""
    figures: dict[str, Any] = {}
    if args.speed_steps:
        print("| game | steps/s | p50 ms | p99 ms | cpu ms | start s | reset s |\n|" + "---|" * 7)
        for game in GAMES:
            row = figures[game] = speed(game, args.speed_steps)
            cells = " | ".join(str(value) for value in row.values())
            print(f"| {game} | {cells} |", flush=True)
    if args.steps:
        figures["endurance"] = endurance(args.steps)
        print(f"endurance: {figures['endurance']['steps_per_s']} steps/s over {args.steps} steps")
    if args.cycles:
        figures["cycles"] = cycles(args.cycles)
        print(f"cycles: {figures['cycles']}")
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if figures.get("cycles", {}).get("left_behind") else 0
