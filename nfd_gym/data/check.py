"""Looking over recordings: every problem by file and row, and what was played."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nfd_gym.actions import ActionCodec, KeysAndMouse
from nfd_gym.data.clip import DataError, Source
from nfd_gym.data.reproject import agreement
from nfd_gym.data.rows import BUTTON_COLUMN, KEY_COLUMN, read_objects
from nfd_gym.data.sources.vpt import VPTSource
from nfd_gym.data.statistics import Played
from nfd_gym.keyboard import DEGREES_PER_PIXEL, LARGEST_TURN

STEP = 256  # frames decoded at a time: an hour-long clip must not fill the memory
SPOKEN = 20  # problems printed per kind and file
PAIRS = 64  # frames of a clip that are seen from the next pose
LEAST_DB = 24.0  # what depth, pose and picture must agree to
LAGS, LAG_DB = (0, -1, 1), 1.0  # another frame's pose must not fit better by more than this
WORST = 5  # clips named with the lowest agreement


@dataclass
class Report(Played):
    """What was found; `problems` make the check fail, `notes` do not."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    agreement: dict[str, float] = field(default_factory=dict)  # dB of each clip with depth


def check_source(
    source: Source, *, decode: bool = True, progress: Callable[[int], None] = lambda frames: None
) -> Report:
    """Read everything once and report. With decode=False the pictures are counted, not decoded."""
    report = Report()
    for index, (name, length) in enumerate(zip(source.names, source.lengths, strict=True)):
        before = len(report.problems)
        if isinstance(source, VPTSource):
            _check_pair(source, name, report)
        if len(report.problems) == before:
            try:
                _read_through(source, index, length, report, decode, progress)
                if decode and isinstance(source, VPTSource) and source.index.depth:
                    _check_depth(source, index, report)
            except DataError as error:
                report.problems.append(str(error))
        report.clips += 1
    return report


def _read_through(
    source: Source,
    index: int,
    length: int,
    report: Report,
    decode: bool,
    progress: Callable[[int], None],
) -> None:
    """Side effect: adds one clip's figures to the report."""
    actions, poses = [], []
    if decode or not isinstance(source, VPTSource):
        for start in range(0, length, STEP):
            clip = source.read(index, start, min(length, start + STEP))
            actions.append(clip.actions)
            poses += [] if clip.pose is None else [clip.pose]
            report.count(clip.events)
            report.rewards += 0.0 if clip.rewards is None else float(clip.rewards.sum())
            progress(len(clip))
        report.actions.append(np.concatenate(actions)[1:])
    else:
        rows = source.rows(source.names[index])
        report.actions.append(rows.chosen[: length - 1])
        poses += [] if rows.pose is None else [rows.pose[:length]]
        report.count(rows.events)
        report.rewards += 0.0 if rows.rewards is None else float(rows.rewards[: length - 1].sum())
        progress(length)
    if poses:
        report.poses.append(np.concatenate(poses))
    report.frames += length
    report.seconds += length / source.fps


def describe_depth(agreement: dict[str, float]) -> Iterator[str]:
    """How well depth, pose and picture agree, as lines of text."""
    judged = {name: value for name, value in agreement.items() if np.isfinite(value)}
    if not agreement:
        return
    if not judged:
        yield f"depth and pose: {len(agreement)} clips, none moves, nothing to compare"
        return
    middle = float(np.median(list(judged.values())))
    yield (
        f"depth and pose: a frame seen from the next pose agrees to {middle:.1f} dB (median of "
        f"{len(judged)} clips; {len(agreement) - len(judged)} never move)"
    )
    worst = sorted(judged.items(), key=lambda item: item[1])[:WORST]
    yield "lowest: " + ", ".join(f"{name} {value:.1f} dB" for name, value in worst)


def _check_depth(source: VPTSource, index: int, report: Report) -> None:
    """Side effect: adds the agreement of depth, pose and picture of one clip."""
    name, length = source.names[index], source.lengths[index]
    pose, fov_y = source.rows(name).pose, source.index.fov_y
    where = source.file(name, ".depth.mkv")
    if pose is None or fov_y is None:
        what = 'no "eye" in its rows' if pose is None else 'no "fov_y" in index.json'
        report.problems.append(f"{where}: depth with {what} cannot be placed; record it again")
        return
    moved = np.flatnonzero((np.diff(pose[:length], axis=0) != 0).any(axis=1))
    picks = (
        np.unique(moved[np.linspace(0, len(moved) - 1, PAIRS).astype(int)]) if len(moved) else moved
    )
    found = np.full((len(picks), len(LAGS)), np.nan)
    for row, first in enumerate(picks.tolist()):
        clip = source.read(index, first, first + 2)
        assert clip.depth is not None
        for column, lag in enumerate(LAGS):
            if 0 <= first + lag and first + lag + 2 <= length:
                there = pose[first + lag : first + lag + 2]
                found[row, column] = agreement(clip.frames, clip.depth, there, fov_y)[0]
    whole = found[np.isfinite(found).all(axis=1)]
    if not len(whole):
        report.agreement[name] = np.nan
        return
    level = dict(zip(LAGS, np.median(whole, axis=0).tolist(), strict=True))
    report.agreement[name] = level[0]
    best = max(LAGS, key=lambda lag: level[lag])
    if level[0] < LEAST_DB:
        report.problems.append(
            f"{where}: depth, pose and picture agree to {level[0]:.1f} dB only (median of "
            f"{len(whole)} frames, {LEAST_DB:.0f} are expected); check fov_y, the signs of the "
            "pose and that all three are of the same frame"
        )
    elif level[best] > level[0] + LAG_DB:
        late = "next" if best > 0 else "previous"
        report.problems.append(
            f"{where}: the {late} frame's pose agrees better with depth and picture "
            f"({level[best]:.1f} dB) than its own ({level[0]:.1f} dB); shift the poses by one frame"
        )


def _check_pair(source: VPTSource, name: str, report: Report) -> None:
    """Side effect: adds every problem of one mp4 + jsonl pair, not only the first."""
    rows = source.file(name, ".jsonl")
    count = 0
    found: Counter[str] = Counter()
    unknown: dict[str, tuple[int, int]] = {}
    try:
        for row, data in read_objects(rows):
            count = row + 1
            for what in _row_problems(source.codec, data, unknown, row):
                found[what.split(" ", 1)[0]] += 1
                if found[what.split(" ", 1)[0]] <= SPOKEN:
                    report.problems.append(f"{rows}:{row}: {what}")
    except DataError as error:
        report.problems.append(str(error))
        return
    for what, (row, times) in unknown.items():
        report.notes.append(f"{rows}:{row}: {what} ({times} rows)")
    try:
        video = source.video(name)
    except DataError as error:
        report.problems.append(str(error))
        return
    _check_counts(source, name, len(video), count, report)


def _check_counts(source: VPTSource, name: str, frames: int, rows: int, report: Report) -> None:
    listed = source.index.clips[name]
    where = source.file(name, ".mp4")
    if listed and listed > min(frames, rows):
        report.problems.append(
            f"{where}:{min(frames, rows)}: index.json says {listed} frames, the video has {frames} "
            f"and {source.file(name, '.jsonl').name} {rows} rows"
        )
    elif frames != rows:
        report.notes.append(
            f"{where}:{min(frames, rows)}: {frames} frames and {rows} rows, the rest is not used"
        )


def _row_problems(
    codec: ActionCodec, data: dict[str, Any], unknown: dict[str, tuple[int, int]], row: int
) -> Iterator[str]:
    """What is wrong with one row; side effect: counts what is merely unknown."""

    def note(what: str) -> None:
        first, times = unknown.get(what, (row, 0))
        unknown[what] = (first, times + 1)

    if not isinstance(codec, KeysAndMouse):
        vector = data.get("action")
        if not isinstance(vector, list) or len(vector) != codec.width:
            yield f'action: "action" with {codec.width} numbers is missing, got {vector!r}'
        return
    mouse, keyboard = data.get("mouse"), data.get("keyboard")
    for part, value in (("mouse", mouse), ("keyboard", keyboard)):
        if value is None:
            note(f"{part} is missing, read as nothing pressed or moved")
        elif not isinstance(value, dict):
            yield f"{part}: an object was expected, got {value!r}"
    if data.get("isGuiOpen"):
        note("a menu is open, the camera is read as standing still")
    mouse = mouse if isinstance(mouse, dict) else {}
    keyboard = keyboard if isinstance(keyboard, dict) else {}
    for axis in ("dx", "dy"):
        value = mouse.get(axis)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield f"mouse.{axis}: a number was expected, got {value!r}"
        elif not (data.get("isGuiOpen") or abs(value * DEGREES_PER_PIXEL) <= LARGEST_TURN):
            yield f"mouse.{axis}: {value!r} pixels are over {LARGEST_TURN:.0f} degrees a tick"
    for button in mouse.get("buttons") or []:
        if button not in BUTTON_COLUMN:
            note(f"mouse button {button!r} has no place in the action and is left out")
    for key in keyboard.get("keys") or []:
        if key not in KEY_COLUMN:
            note(f"{key!r} has no place in the action and is left out")


def folder_of(path: str) -> Path:
    """The folder of recordings that a command was given, as a path."""
    return Path(path).expanduser()
