"""Looking over recordings: every problem by file and row, and what was played."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nfd_gym.actions import ActionCodec, Discrete, KeysAndMouse
from nfd_gym.data.clip import DataError, Event, Floats, Source
from nfd_gym.data.rows import BUTTON_COLUMN, KEY_COLUMN, read_objects
from nfd_gym.data.sources.vpt import VPTSource
from nfd_gym.keyboard import DEGREES_PER_PIXEL, KEYS, LARGEST_TURN, PITCH, VPT_CAMERA

STEP = 256  # frames decoded at a time: an hour-long clip must not fill the memory
SPOKEN = 20  # problems printed per kind and file


@dataclass
class Report:
    """What was found; `problems` make the check fail, `notes` do not."""

    frames: int = 0
    clips: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    actions: list[Floats] = field(default_factory=list)  # per clip, without the leading no-op
    events: Counter[str] = field(default_factory=Counter)
    rewards: float = 0.0


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
            except DataError as error:
                report.problems.append(str(error))
        report.clips += 1
    return report


def describe(codec: ActionCodec, report: Report, events: bool = True) -> Iterator[str]:
    """The statistics as lines of text."""
    length = f"{report.seconds / 3600:.2f} hours"
    if report.seconds < 600:
        length = f"{report.seconds:.0f} seconds"
    yield f"{report.clips} clips, {report.frames:,} frames = {length}"
    if not report.actions:
        return
    actions = np.concatenate(report.actions)
    repeat = np.concatenate([repeats(codec, clip) for clip in report.actions])
    yield f"repeats the previous action: {_percent(repeat)} of frames"
    rest = codec.encode(codec.noop())
    yield f"does nothing: {_percent((actions == rest).all(axis=1))} of frames"
    if isinstance(codec, KeysAndMouse):
        down = actions[:, : len(KEYS)] > 0.5
        shares = {key: down[:, column] for column, key in enumerate(KEYS) if down[:, column].any()}
        yield "keys: " + ", ".join(f"{key} {_percent(share)}" for key, share in shares.items())
        pitch, yaw = codec.rotation(actions)
        turning = (pitch != 0) | (yaw != 0)
        size = np.hypot(pitch, yaw)[turning]
        yield (
            f"camera: moves in {_percent(turning)} of frames, right {_percent(yaw > 0)}, left "
            f"{_percent(yaw < 0)}, median turn {np.median(size) if len(size) else 0:.2f} degrees, "
            f"beyond 10 degrees {_percent(np.maximum(abs(pitch), abs(yaw)) > 10)}"
        )
    elif isinstance(codec, Discrete):
        share = actions.mean(axis=0)
        yield "actions: " + ", ".join(f"{n} {100 * part:.1f}%" for n, part in enumerate(share))
    else:
        values = np.stack([codec.decode(action) for action in actions])
        for column in range(values.shape[1]):
            one = values[:, column]
            yield (
                f"action {column}: mean {one.mean():.4g}, sd {one.std():.4g}, from {one.min():.4g} "
                f"to {one.max():.4g}"
            )
    if report.rewards:
        yield f"reward: {report.rewards:,.2f} in all"
    if events and report.events:
        yield "events: " + ", ".join(f"{kind} {n:,}" for kind, n in sorted(report.events.items()))


def repeats(codec: ActionCodec, actions: Floats) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which actions equal the one before; the camera counts in VPT's bins, not in pixels."""
    coarse: np.ndarray[Any, Any] = actions
    if isinstance(codec, KeysAndMouse):
        bins = VPT_CAMERA.to_bin(np.stack(codec.rotation(actions), axis=-1))
        coarse = np.concatenate([actions[:, :PITCH] > 0.5, bins], axis=1)
    same: np.ndarray[Any, np.dtype[np.bool_]] = (coarse[1:] == coarse[:-1]).all(axis=1)
    return same


def _read_through(
    source: Source,
    index: int,
    length: int,
    report: Report,
    decode: bool,
    progress: Callable[[int], None],
) -> None:
    """Side effect: adds one clip's figures to the report."""
    actions = []
    if decode or not isinstance(source, VPTSource):
        for start in range(0, length, STEP):
            clip = source.read(index, start, min(length, start + STEP))
            actions.append(clip.actions)
            _count(report, clip.events)
            report.rewards += 0.0 if clip.rewards is None else float(clip.rewards.sum())
            progress(len(clip))
    else:
        rows = source.rows(source.names[index])
        actions.append(rows.chosen[: length - 1])
        _count(report, rows.events)
        progress(length)
    whole = np.concatenate(actions)
    report.actions.append(whole[1:] if decode or not isinstance(source, VPTSource) else whole)
    report.frames += length
    report.seconds += length / source.fps


def _count(report: Report, events: tuple[Event, ...]) -> None:
    report.events.update(event.kind for event in events)


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
        elif not abs(value * DEGREES_PER_PIXEL) <= LARGEST_TURN:
            yield f"mouse.{axis}: {value!r} pixels are over {LARGEST_TURN:.0f} degrees a tick"
    for button in mouse.get("buttons") or []:
        if button not in BUTTON_COLUMN:
            note(f"mouse button {button!r} has no place in the action and is left out")
    for key in keyboard.get("keys") or []:
        if key not in KEY_COLUMN:
            note(f"{key!r} has no place in the action and is left out")


def _percent(mask: Any) -> str:
    return f"{100 * float(np.mean(mask)) if len(mask) else 0.0:.1f}%"


def folder_of(path: str) -> Path:
    """The folder of recordings that a command was given, as a path."""
    return Path(path).expanduser()
