"""`python -m nfd_gym record --env Luanti-v0`: play on the island, as a store of clips with depth.

Every worker is a thread with its own game; one writer adds the clips. A clip's number decides its
player, start and length, its name says both, and names that are there already are skipped: an
interrupted recording continues with the first clip that is missing.
"""

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.data.cli_record import PRESETS
from nfd_gym.data.clip import DataError, Event
from nfd_gym.data.store import ClipFile, ClipWriter
from nfd_gym.errors import UsageError
from nfd_gym.games.luanti.env import LuantiEnv
from nfd_gym.games.luanti.gate import GameDied
from nfd_gym.games.luanti.players import MIX
from nfd_gym.games.luanti.probes import PROBES
from nfd_gym.games.luanti.spec import FPS, LANDMARKS, SIZE, SPEC, view_fov
from nfd_gym.settings import resolve

LENGTHS = (400, 801)  # ticks of a clip: 20 to 40 s
TICKS_PER_HOUR = 3600 * FPS
FAILURES = 3  # lost clips of one worker in a row
CRF = 14  # 42 dB with full colour
INSIDE = (-4.5, 6.5, 8.5)  # the floor of the hut


class _Drop(Exception):
    """Leaves a clip's `with` block without keeping the clip."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What to record. `seed` is the first clip's number: far apart seeds share no clip."""

    out: Path
    hours: float = 0.0
    workers: int = 1
    seed: int = 1
    length: int | None = None  # ticks of every clip; None: a draw from LENGTHS
    size: tuple[int, int] = SIZE
    crf: int = CRF
    gop: int = 10
    probes: bool = False  # the fixed scripts, once each, instead of hours of the mix

    def __post_init__(self) -> None:
        if not ((self.hours > 0 or self.probes) and self.workers >= 1 and self.seed >= 1):
            raise UsageError(
                "hours must be above 0, workers and seed at least 1, got "
                f"{self.hours}, {self.workers} and {self.seed}."
            )
        if self.length is not None and self.length < 2:
            raise UsageError(f"episode_frames must be at least 2, got {self.length}.")


@dataclass(frozen=True)
class Plan:
    """One clip before it is played: who, where, how long."""

    name: str
    seed: int
    player: Any  # a class of players/ or a probe: called with the seed, it acts
    length: int
    place: dict[str, Any] | None


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
        width, height = settings.size
        self.codec = KeysAndMouse("minerl", Camera(view_fov(width, height)))
        self.writer = _SharedWriter(
            settings.out,
            self.codec,
            fps=float(FPS),
            size=(height, width),
            crf=settings.crf,
            gop=settings.gop,
            depth=True,
            spec=replace(SPEC, codec=self.codec, size=settings.size).to_json(),
            about={"game": "the island of nfd_gym in Luanti (Minetest 5.6); textures MIT"},
        )
        self.stop = threading.Event()
        self.steps = [0] * settings.workers  # of this run, those of lost clips included
        self.counts: Counter[str] = Counter()  # of this run's clips: digs, places by kind, ...
        self.errors: list[str] = []
        self._plans = (
            probe_plans() if settings.probes else mix_plans(settings.seed, settings.length)
        )
        self._lock = threading.Lock()

    @property
    def full(self) -> bool:
        if self.settings.probes:
            return False
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
            print("\nstopping: the clips at hand are dropped", file=sys.stderr)
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()
        missing = not self.full
        if self.settings.probes:
            missing = any(plan.name not in self.writer for plan in probe_plans())
        if self.errors and missing:
            raise RuntimeError(f"the recording is not complete: {self.errors[-1]}")

    def _show(self, speed: float) -> None:
        """A progress line, on a terminal only."""
        if sys.stderr.isatty():
            hours, wanted = self.writer.ticks / TICKS_PER_HOUR, self.settings.hours
            line = f"{hours:.3f} of {wanted:g} h, {speed:.0f} steps/s"
            print(f"\r{line} ", end="", file=sys.stderr, flush=True)

    # ---- one worker -------------------------------------------------------------------------

    def _next(self) -> Plan | None:
        with self._lock:
            return next((plan for plan in self._plans if plan.name not in self.writer), None)

    def _work(self, worker: int) -> None:
        failures, env = 0, LuantiEnv(self.settings.size, "minerl", depth=True)
        try:
            while not (self.stop.is_set() or self.full) and failures < FAILURES:
                plan = self._next()
                if plan is None:
                    return
                try:
                    self._record(worker, env, plan)
                    failures = 0
                except (GameDied, RuntimeError) as error:  # this clip is lost, the next may do
                    failures += 1
                    self.errors.append(f"{plan.name}: {error}")
                except (OSError, DataError) as error:  # the disk is full: so it is for all
                    self.errors.append(str(error))
                    self.stop.set()
        finally:
            env.close()

    def _record(self, worker: int, env: LuantiEnv, plan: Plan) -> None:
        """Side effect: adds one clip, unless the recording is stopped meanwhile."""
        player = plan.player(plan.seed)
        options = None if plan.place is None else {"place": plan.place}
        frame, info = env.reset(seed=plan.seed, options=options)
        about = {"player": player.name, "rng_seed": plan.seed, "start": list(info["position"])}
        counts: Counter[str] = Counter()
        try:
            with self.writer.clip(plan.name, about) as file:
                _add(file, frame, self.codec.vector(), info)
                for _ in range(plan.length - 1):
                    if self.stop.is_set():
                        raise _Drop
                    action = player.act(info)
                    before = info["eye"]
                    frame, _, _, _, info = env.step(action)
                    _add(file, frame, self.codec.encode(action), info)
                    self.steps[worker] += 1
                    _count(counts, action, info, before)
        except _Drop:
            return
        with self._lock:
            self.counts += counts


def _add(file: ClipFile, frame: Any, action: Any, info: dict[str, Any]) -> None:
    """Row fields as in VPT."""
    x, y, z = info["position"]
    state = {
        "hotbar": info["hotbar"], "yaw": round(info["yaw"], 3),
        "xpos": round(x, 3), "ypos": round(y, 3), "zpos": round(z, 3),
        "on_ground": info["on_ground"],
    }  # fmt: skip
    file.add(
        frame,
        action,
        pitch=round(info["pitch"], 3),
        events=[Event.from_info(file.frames, event) for event in info["events"]],
        state=state,
        depth=info["depth"],
        pose=info["eye"],
    )


def _count(counts: Counter[str], action: dict[str, Any], info: dict[str, Any], eye: Any) -> None:
    """Side effect: what one tick adds to the statistics."""
    counts["ticks"] += 1
    counts.update(name for name in ("attack", "use", "jump", "forward") if action[name])
    for event in info["events"]:
        counts[event["type"]] += 1
        if event["type"] == "place":
            counts[event["node"]] += 1
    if np.allclose(info["eye"], eye, atol=1e-4):
        counts["still"] += 1


def mix_plans(seed: int, ticks: int | None = None) -> Iterator[Plan]:
    """Without end: clip after clip of the mix, from number `seed` on; of `ticks` where given."""
    for number in range(seed, 2**31):
        rng = np.random.default_rng(number)
        player = MIX[number % len(MIX)]
        length, place = int(rng.integers(*LENGTHS)), start(rng)
        yield Plan(f"island-{number:07d}-{player.name}", number, player, ticks or length, place)


def probe_plans() -> Iterator[Plan]:
    for index, (name, probe) in enumerate(PROBES.items()):
        yield Plan(f"probe-{name}", index, probe, probe.length, probe.place)


def start(rng: np.random.Generator) -> dict[str, Any] | None:
    """Where a clip begins: anywhere in the open (None: the env draws), by or upon a landmark, in
    the hut."""
    view = {
        "yaw": float(rng.uniform(-180, 180)),
        "pitch": float(np.clip(rng.normal(4, 12), -40, 45)),
    }
    draw = rng.random()
    if draw < 0.6:
        return None
    if draw < 0.92:
        x, z = LANDMARKS[str(rng.choice(list(LANDMARKS)))]
        return {"position": (x + float(rng.normal(0, 5)), z + float(rng.normal(0, 5))), **view}
    return {"position": INSIDE, **view}


def main(args: argparse.Namespace) -> int:
    """`record --env Luanti-v0 --hours H --out DIR [--workers N] [--set seed=N]`, or `--probes`;
    called by nfd_gym/data/cli_record.py, whose settings it shares."""
    chosen = resolve(args, PRESETS)
    settings = Recording(
        out=Path(args.out),
        hours=args.frames / TICKS_PER_HOUR if args.hours is None else args.hours,
        workers=args.workers,
        seed=max(1, chosen.seed),
        length=chosen.episode_frames,
        gop=chosen.gop,
        probes=args.probes,
    )
    recorder = Recorder(settings)
    begin = time.monotonic()
    recorder.run()
    seconds, ticks = time.monotonic() - begin, recorder.writer.ticks
    total = max(1, recorder.counts["ticks"])
    shares = {name: f"{count / total:.2%}" for name, count in sorted(recorder.counts.items())}
    print(
        f"{settings.out}: {len(recorder.writer.entries)} clips, {ticks} frames = "
        f"{ticks / TICKS_PER_HOUR:.3f} h; this run: {sum(recorder.steps)} steps in {seconds:.0f} s "
        f"({sum(recorder.steps) / seconds:.1f}/s), shares of ticks: {shares}"
    )
    return 0
