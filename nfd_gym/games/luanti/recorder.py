"""`python -m nfd_gym record --env Luanti-v0`: the scripted player's play, as a store of clips.

Every worker is a thread with its own game; one writer adds the clips. A world's number decides its
seed and map generator, a clip's name says which, and names that are there already are skipped: an
interrupted recording continues with the next clip.
"""

import argparse
import itertools
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nfd_gym.actions import KeysAndMouse
from nfd_gym.data.cli_record import PRESETS
from nfd_gym.data.clip import DataError, Event
from nfd_gym.data.store import ClipFile, ClipWriter
from nfd_gym.games.luanti.env import LuantiEnv
from nfd_gym.games.luanti.footage import LONGEST_CUT, Judge
from nfd_gym.games.luanti.gate import GameDied
from nfd_gym.games.luanti.player import Player
from nfd_gym.settings import resolve

CLIPS_PER_WORLD = 5
LENGTHS = (1200, 1801)  # ticks of a clip: 60 to 90 s
SHORTEST = 600  # a clip that has to be cut earlier is dropped
PACE = 50.0  # steps per second: keeps terrain, which is made in real time, ahead of the player
TICKS_PER_HOUR = 72_000
FAILURES = 3  # lost worlds of one worker in a row


class _Drop(Exception):
    """Leaves a clip's `with` block without keeping the clip."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What to record. `seed` is the first world's number: far apart seeds share no world."""

    out: Path
    hours: float
    workers: int = 1
    seed: int = 1
    size: tuple[int, int] = (192, 112)
    crf: int | None = None
    gop: int = 10

    def __post_init__(self) -> None:
        if not (self.hours > 0 and self.workers >= 1 and self.seed >= 1):
            raise ValueError(
                "hours must be above 0, workers and seed at least 1, got "
                f"{self.hours}, {self.workers} and {self.seed}."
            )


@dataclass(frozen=True)
class _Tick:
    """One frame on its way to the file, with the action that produced it."""

    frame: npt.NDArray[np.uint8]
    action: npt.NDArray[np.float32]
    info: dict[str, Any]


class _SharedWriter(ClipWriter):
    """Several workers add clips; their files are their own, the index is not."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._lock = threading.Lock()
        super().__init__(*arguments, **named)

    def add_entry(self, entry: dict[str, Any]) -> None:
        with self._lock:
            super().add_entry(entry)

    @property
    def ticks(self) -> int:
        """Frames on disk, those of earlier runs included."""
        with self._lock:
            return sum(int(entry["frames"]) for entry in self.entries.values())


class Recorder:
    """Owns the writer and what the workers share."""

    def __init__(self, settings: Recording) -> None:
        self.settings = settings
        self.codec = KeysAndMouse("minerl")
        width, height = settings.size
        about = {"game": "Luanti (Minetest 5.6), Minetest Game; textures CC BY-SA 3.0 and 4.0"}
        self.writer = _SharedWriter(
            settings.out,
            self.codec,
            fps=20.0,
            size=(height, width),
            crf=settings.crf,
            gop=settings.gop,
            about=about,
        )
        self.stop = threading.Event()
        self.steps = [0] * settings.workers  # of this run, dropped ones included
        self.endings: list[str] = []  # of this run's clips: "length", or what was wrong
        self.errors: list[str] = []
        self._worlds = iter(range(settings.seed, 2**31))
        self._lock = threading.Lock()

    @property
    def full(self) -> bool:
        return self.writer.ticks >= self.settings.hours * TICKS_PER_HOUR

    def run(self) -> None:
        """Returns when the hours are full or `stop` is set; every clip on disk is whole."""
        threads = [
            threading.Thread(target=self._work, args=(index,), name=f"recorder-{index}")
            for index in range(self.settings.workers)
        ]
        for thread in threads:
            thread.start()
        begin = time.monotonic()
        try:
            while alive := [thread for thread in threads if thread.is_alive()]:
                alive[0].join(0.5)
                self._show(sum(self.steps) / (time.monotonic() - begin))
        except KeyboardInterrupt:
            print("\nstopping: the clips at hand are ended here", file=sys.stderr)
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()
        if self.errors and not self.full:
            raise RuntimeError(f"the recording is not complete: {self.errors[-1]}")

    def _show(self, speed: float) -> None:
        """A progress line, on a terminal only."""
        if not sys.stderr.isatty():
            return
        hours, disk = self.writer.ticks / TICKS_PER_HOUR, _megabytes(self.settings.out)
        part = min(1.0, hours / self.settings.hours)
        bar = "#" * round(24 * part)
        line = f"{hours:.3f} of {self.settings.hours:g} h, {speed:.0f} steps/s, {disk:.0f} MB"
        print(f"\r[{bar:<24}] {line} ", end="", file=sys.stderr, flush=True)

    # ---- one worker -------------------------------------------------------------------------

    def _work(self, worker: int) -> None:
        failures = 0
        while not (self.stop.is_set() or self.full) and failures < FAILURES:
            with self._lock:
                number = next(self._worlds)
            names = {clip: clip_name(number, clip) for clip in range(CLIPS_PER_WORLD)}
            missing = {clip: name for clip, name in names.items() if name not in self.writer}
            if not missing:
                continue
            try:
                self._record_world(worker, number, missing)
                failures = 0
            except (GameDied, RuntimeError) as error:  # this world is lost, the next one may do
                failures += 1
                self.errors.append(f"world {number}: {error}")
            except (OSError, DataError) as error:  # the disk is full: so it is for all workers
                self.errors.append(str(error))
                self.stop.set()

    def _record_world(self, worker: int, number: int, clips: dict[int, str]) -> None:
        size, mapgen = self.settings.size, mapgen_of(number)
        env = LuantiEnv(size, "minerl", world_seed=number, mapgen=mapgen, pace=PACE)
        try:
            for clip, name in clips.items():
                if self.stop.is_set() or self.full:
                    return
                self._record_clip(worker, env, name, number * 1000 + clip)
        finally:
            env.close()

    def _record_clip(self, worker: int, env: LuantiEnv, name: str, seed: int) -> None:
        """Side effect: adds one clip, unless it has to be cut too early."""
        length = int(np.random.default_rng(seed).integers(*LENGTHS))
        number = seed // 1000
        world = {"seed": number, "mapgen": mapgen_of(number), "rng_seed": seed}
        ending: list[str] = []
        ticks = self._play(worker, env, seed, length, ending)
        first = next(ticks)
        start = {"biome": first.info["biome"], "start": list(first.info["position"])}
        try:
            with self.writer.clip(name, {**world, **start}) as file:
                stats: dict[str, int] | None = None
                for tick in itertools.chain([first], ticks):
                    _add(file, tick, stats)
                    stats = tick.info["stats"]
                if file.frames < SHORTEST:
                    raise _Drop
                file.about["ended"] = ending[0]
            self.endings.append(ending[0])
        except _Drop:
            self.endings.append(f"{ending[0]}, dropped")

    def _play(
        self, worker: int, env: LuantiEnv, seed: int, length: int, ending: list[str]
    ) -> Iterator[_Tick]:
        """Frames of one clip without its bad end: each comes LONGEST_CUT frames late, so that those
        before a verdict can be taken back. Side effect: `ending` receives why the clip ended."""
        player, judge = Player(seed), Judge()
        frame, info = env.reset(seed=seed)
        waiting = deque([_Tick(frame, self.codec.vector(), info)])
        verdict = judge.verdict(frame, info)
        while verdict is None:
            if len(waiting) > LONGEST_CUT:
                yield waiting.popleft()
            if info["tick"] >= length or self.stop.is_set():
                verdict = ("length" if info["tick"] >= length else "stopped", 0)
                break
            action = player.act(info)
            frame, _, _, _, info = env.step(action)
            waiting.append(_Tick(frame, self.codec.encode(action), info))
            self.steps[worker] += 1
            verdict = judge.verdict(frame, info)
        name, cut = verdict
        ending.append(name)
        for _ in range(len(waiting) - cut):
            yield waiting.popleft()


def _add(file: ClipFile, tick: _Tick, stats: dict[str, int] | None) -> None:
    """Row fields as in VPT; `stats` are written when they have changed."""
    info = tick.info
    x, y, z = info["position"]
    state = {
        "hotbar": info["hotbar"], "yaw": round(info["yaw"], 3),
        "xpos": round(x, 3), "ypos": round(y, 3), "zpos": round(z, 3),
        "on_ground": info["on_ground"], "in_liquid": info["in_liquid"],
        "light": info["light"], "biome": info["biome"],
    }  # fmt: skip
    if info["stats"] != stats:
        state["stats"] = info["stats"]
    events = [Event(file.frames, event["type"], event["node"]) for event in info["events"]]
    pitch = round(info["pitch"], 3)
    file.add(tick.frame, tick.action, pitch=pitch, events=events, state=state)


def mapgen_of(number: int) -> str:
    """Every third world is hilly."""
    return "valleys" if number % 3 == 0 else "v7"


def clip_name(number: int, clip: int) -> str:
    return f"luanti-{mapgen_of(number)}-{number:05d}-{clip:02d}"


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.glob("*.mp4")) / 1e6


def main(args: argparse.Namespace) -> int:
    """`record --env Luanti-v0 --hours H --out DIR [--workers N] [--set seed=N]`; called by
    nfd_gym/data/cli_record.py, whose settings it shares."""
    chosen = resolve(args, PRESETS)
    settings = Recording(
        out=Path(args.out),
        hours=args.frames / TICKS_PER_HOUR if args.hours is None else args.hours,
        workers=args.workers,
        seed=max(1, chosen.seed),
        crf=chosen.crf,
        gop=chosen.gop,
    )
    recorder = Recorder(settings)
    begin = time.monotonic()
    recorder.run()
    seconds, ticks = time.monotonic() - begin, recorder.writer.ticks
    print(
        f"{settings.out}: {len(recorder.writer.entries)} clips, {ticks} frames = "
        f"{ticks / TICKS_PER_HOUR:.3f} h, {_megabytes(settings.out):.1f} MB; this run: "
        f"{sum(recorder.steps)} steps in {seconds:.0f} s ({sum(recorder.steps) / seconds:.1f}/s), "
        f"endings: {', '.join(recorder.endings) or 'none'}"
    )
    return 0
