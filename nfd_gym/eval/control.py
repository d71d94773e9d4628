"""Does the dream do as it is told? Probes: real context, then one constant action.

Every judge is registration or picture differences; nothing is trained. Each figure stands beside
the same figure for the real recording, which is the judge's ceiling.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nfd_gym.actions import KeysAndMouse
from nfd_gym.data.clip import Clip, DataError, Source
from nfd_gym.data.index import read_index
from nfd_gym.eval import readings
from nfd_gym.eval.readings import GAP, Turn, Walk
from nfd_gym.eval.rollout import Frames

TURNS = {"turn_left", "turn_right", "look_up", "look_down", "forward_turn_right"}
WALKS = {"forward", "back", "left", "right"}
WALK_TICKS = 24  # later ticks often end at an obstacle
MOVED = 0.3  # metres in GAP ticks: pairs in which the game itself moved
DUG = 0.5  # share of the real change that counts as dug


@dataclass(frozen=True)
class Probe:
    """One recording: `context` frames, then `action` held constant."""

    action: str
    context: int
    clip: Clip

    @property
    def tail(self) -> slice:
        """From the last context frame on."""
        return slice(self.context - 1, len(self.clip))


def load_probes(source: Source, directory: Path, actions: Sequence[str] = ()) -> list[Probe]:
    """All probes of a folder, or those with the named actions."""
    about = read_index(directory).about or {}
    try:
        known = {name: (str(e["action"]), int(e["context_frames"])) for name, e in about.items()}
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{directory / 'index.json'} does not describe probes ({error!r}); every clip needs "
            "name, action and context_frames."
        ) from error
    probes = []
    for index, name in enumerate(source.names):
        if name in known and (not actions or known[name][0] in actions):
            probes.append(Probe(*known[name], source.read(index)))
    return probes


def read(probe: Probe, frames: Frames, codec: KeysAndMouse) -> dict[str, float]:
    """Readings of `frames` (1 + horizon, H, W, 3): the last context frame, then dream or
    recording."""
    if codec.camera is None or probe.clip.pitch is None:
        raise ValueError("Control readings need a codec with a camera and clips with a view pitch.")
    fov_y, pitch = codec.camera.fov_y, probe.clip.pitch[probe.tail]
    out: dict[str, float] = {}
    if probe.action in TURNS or probe.action == "noop":
        turn: Turn = readings.read_turn(frames, pitch, fov_y)
        out |= {"yaw": turn.yaw, "pitch": turn.pitch}
    if probe.action in WALKS or probe.action == "noop":
        starts = moving_pairs(probe)
        if len(starts) >= 3:
            walk: Walk = readings.read_walk(frames, pitch, fov_y, starts)
            out |= {"expansion": walk.expansion, "forward": walk.forward, "right": walk.right}
    if probe.action == "attack":
        dug = dig_share(probe, frames)
        if dug is not None:
            out["dug"] = dug
    return out


def moving_pairs(probe: Probe) -> npt.NDArray[np.intp]:
    """Starts (from the last context frame) of pairs in which the game moved; all for a noop."""
    starts = np.arange(2, min(WALK_TICKS, len(probe.clip) - probe.context) - GAP, 2)
    state = probe.clip.state
    if probe.action == "noop" or not {"xpos", "zpos"} <= set(state):
        return starts
    x, z = (np.asarray(state[key], np.float64)[probe.tail] for key in ("xpos", "zpos"))
    moved = np.hypot(x[starts + GAP] - x[starts], z[starts + GAP] - z[starts])
    return np.asarray(starts[moved >= MOVED])


def dig_share(probe: Probe, frames: Frames, after: int = 2, count: int = 8) -> float | None:
    """How much of the real change at the crosshair happened in `frames` by the first dig, or None
    if nothing was dug."""
    digs = [e.frame - probe.context + 1 for e in probe.clip.events if e.kind == "dig"]
    digs = [d for d in digs if d > 8 and d + after + count <= len(frames)]
    if not digs:
        return None
    window = slice(digs[0] + after, digs[0] + after + count)
    real = probe.clip.frames[probe.tail]
    target = readings.change(real[:1], real[window])
    return readings.share_of_change(readings.change(real[:1], frames[window]), target)


def commanded(probe: Probe, codec: KeysAndMouse) -> tuple[float, float]:
    """(yaw, pitch) in degrees per tick that the recording really turned: the commanded rate, less
    where the view stopped at straight up or down."""
    dpitch, dyaw = codec.rotation(probe.clip.actions[probe.context :])
    pitch = probe.clip.pitch
    if pitch is not None:
        dpitch = np.diff(pitch[probe.tail])
    return float(dyaw.mean()), float(dpitch.mean())


def summarise(
    probes: Sequence[Probe], taken: Sequence[dict[str, float]], codec: KeysAndMouse
) -> dict[str, Any]:
    """Shares right and rates over commanded, from one set of readings (of dreams or of
    recordings)."""
    signs: list[bool] = []
    rates: dict[str, list[float]] = {}
    walks: list[bool] = []
    strafes: list[bool] = []
    speeds: list[float] = []
    still: list[float] = []
    dug: list[float] = []
    for probe, got in zip(probes, taken, strict=True):
        yaw, pitch = commanded(probe, codec)
        if probe.action in TURNS and "yaw" in got:
            axis, told = ("pitch", pitch) if probe.action.startswith("look") else ("yaw", yaw)
            if abs(told) < 0.05:  # the view was already at its limit
                continue
            # A tenth of the command is the least that counts as turning at all.
            signs.append(got[axis] * np.sign(told) > 0.1 * abs(told))
            rates.setdefault(probe.action, []).append(got[axis] / told)
        if probe.action in ("forward", "back") and "expansion" in got:
            told = 1.0 if probe.action == "forward" else -1.0
            walks.append(got["expansion"] * told > 0.004)
            speeds.append(got["forward"] * told / GAP * probe.clip.fps)
        if probe.action in ("left", "right") and "right" in got:
            strafes.append(got["right"] * (1.0 if probe.action == "right" else -1.0) > 0.05)
        if probe.action == "noop" and "yaw" in got:
            still.append(abs(got["yaw"]) + abs(got["pitch"]))
        if "dug" in got:
            dug.append(got["dug"])
    every = [rate for values in rates.values() for rate in values]
    out: dict[str, Any] = {
        "turn_sign_right": _mean(signs),
        "turn_probes": len(signs),
        "rate_over_command": _mean(every),
        "rate_error_median": float(np.median(np.abs(np.array(every) - 1))) if every else None,
        "rate_over_command_by_action": {a: _mean(v) for a, v in sorted(rates.items())},
        "forward_back_right": _mean(walks),
        "walk_probes": len(walks),
        "walk_metres_per_second": float(np.median(speeds)) if speeds else None,
        "left_right_right": _mean(strafes),
        "strafe_probes": len(strafes),
        "noop_degrees_per_tick": _mean(still),
        "noop_probes": len(still),
        "dug": _mean([share >= DUG for share in dug]),
        "dug_share_mean": _mean(dug),
        "dig_probes": len(dug),
    }
    return out


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
