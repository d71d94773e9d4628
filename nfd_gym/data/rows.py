"""Rows of a recording: jsonl, one object per frame, parsed into compact arrays."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfd_gym.actions import ActionCodec, KeysAndMouse
from nfd_gym.data.clip import POSE, DataError, Event, Floats
from nfd_gym.keyboard import (
    DEGREES_PER_PIXEL,
    KEY_INDEX,
    KEYS,
    LARGEST_TURN,
    PITCH,
    YAW,
    camera_to_scalar,
    scalar_to_camera,
)

KEYBOARD = {
    "w": "forward", "a": "left", "s": "back", "d": "right", "space": "jump", "left.shift": "sneak",
    "left.control": "sprint", "e": "inventory", "q": "drop", "f": "swapHands", "escape": "ESC",
    **{str(number): f"hotbar.{number}" for number in range(1, 10)},
}  # fmt: skip
NAMES = {name: key for key, name in KEYBOARD.items()}
KEY_COLUMN = {f"key.keyboard.{key}": KEY_INDEX[name] for key, name in KEYBOARD.items()}
BUTTON_COLUMN = {0: KEY_INDEX["attack"], 1: KEY_INDEX["use"], 2: KEY_INDEX["pickItem"]}
HOTBAR = KEY_INDEX["hotbar.1"]
# of a store with another codec; what else a row holds is its game's own log
ROW_FIELDS = {"action", "reward", "events", "tick", "milli", "eye", "pitch"}
LOGGED = (
    "yaw",
    "xpos",
    "ypos",
    "zpos",
    "on_ground",
    "light",
    "hotbar",
)  # kept per frame where present


@dataclass(frozen=True)
class Rows:
    """One recording's rows as arrays; row i is the state of frame i and the action chosen on it."""

    chosen: Floats  # (R, A)
    events: tuple[Event, ...]  # frame = the row, not yet shifted
    rewards: Floats | None
    pitch: Floats | None
    state: dict[str, NDArray[Any]] = field(default_factory=dict)
    pose: Floats | None = None  # (R, 5)

    def __len__(self) -> int:
        return len(self.chosen)


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row number from 0, object) for every line; a bad line is one sentence with its row."""

    def refuse(word: str) -> float:
        raise ValueError(f"{word} is not a number")

    try:
        with path.open("rb") as file:
            for row, line in enumerate(file):
                if not line.strip():
                    continue
                try:
                    data = json.loads(line.decode("utf-8"), parse_constant=refuse)
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"{path}:{row}: not UTF-8 text; the file is damaged, copy it again."
                    ) from error
                except ValueError as error:
                    raise DataError(
                        f"{path}:{row}: not a JSON object ({error}); record this clip again."
                    ) from error
                if not isinstance(data, dict):
                    raise DataError(f"{path}:{row}: a JSON object was expected, got {line[:40]!r}.")
                yield row, data
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path.") from error


def count_rows(path: Path) -> int:
    """How many rows a file holds, by its line ends; nothing is parsed."""
    try:
        with path.open("rb") as file:
            return sum(1 for line in file if not line.isspace())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path.") from error


def parse_vpt_rows(path: Path, *, stuck_attack: bool = True) -> Rows:
    """VPT contractor rows as KeysAndMouse vectors.

    The camera stays float32 (VPT's own loader truncates it to whole degrees). With `stuck_attack`,
    an attack button that is already down in row 0 is ignored until it is pressed anew: VPT's
    recorder starts while the button that started the recording is still held.
    """
    objects = [data for _, data in read_objects(path)]
    chosen = np.zeros((len(objects), len(KEYS) + 2), np.float32)
    camera = np.zeros((len(objects), 2))
    hotbar = np.full(len(objects), -1)
    pitch = np.full(len(objects), np.nan, np.float32)
    state = {name: np.full(len(objects), np.nan) for name in LOGGED}
    gui = np.zeros(len(objects), bool)
    stuck = False
    for row, data in enumerate(objects):
        mouse, keyboard = data.get("mouse") or {}, data.get("keyboard") or {}
        try:
            fresh = mouse.get("newButtons") or []
            if row == 0:
                stuck = stuck_attack and fresh == [0]
            elif 0 in fresh:
                stuck = False
            for button in mouse.get("buttons") or []:
                if button in BUTTON_COLUMN and not (button == 0 and stuck):
                    chosen[row, BUTTON_COLUMN[button]] = 1
            for key in keyboard.get("keys") or []:
                if key in KEY_COLUMN:
                    chosen[row, KEY_COLUMN[key]] = 1
            camera[row] = float(mouse.get("dy") or 0), float(mouse.get("dx") or 0)
            hotbar[row] = -1 if data.get("hotbar") is None else int(data["hotbar"])
            gui[row] = bool(data.get("isGuiOpen"))
            pitch[row] = _number(data.get("pitch"))
            for name in LOGGED:
                state[name][row] = _number(data.get(name))
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{path}:{row}: a field has the wrong type ({error}); record this clip again."
            ) from error
    camera *= DEGREES_PER_PIXEL
    camera[gui] = 0  # in a menu the mouse moves a cursor, the view stands still
    huge = np.flatnonzero(~(np.abs(camera) <= LARGEST_TURN).all(axis=1))
    if len(huge):
        row = int(huge[0])
        raise DataError(
            f"{path}:{row}: the camera turns {camera[row].tolist()} degrees in one tick, more than "
            f"{LARGEST_TURN:.0f}; a recorder's glitch, cut or remove this clip."
        )
    chosen[:, [PITCH, YAW]] = camera_to_scalar(camera)
    _scrolled_hotbar(chosen, hotbar)
    state = {name: values for name, values in state.items() if not np.isnan(values).all()}
    state["gui"] = gui
    return Rows(
        chosen=chosen,
        events=tuple(_events(path, objects)),
        rewards=_rewards(objects),
        pitch=None if np.isnan(pitch).any() else pitch,
        state=state,
        pose=_poses(path, objects),
    )


def parse_action_rows(path: Path, width: int) -> Rows:
    """Rows of a store with another codec: {"action": [A numbers], "reward": r, "events": [...]}."""
    objects = [data for _, data in read_objects(path)]
    chosen = np.zeros((len(objects), width), np.float32)
    for row, data in enumerate(objects):
        vector = data.get("action")
        if not isinstance(vector, list) or len(vector) != width:
            raise DataError(f'{path}:{row}: needs "action" with {width} numbers, got {vector!r}.')
        try:
            chosen[row] = vector
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}:{row}: the action {vector!r} holds no numbers.") from error
    events, pose = tuple(_events(path, objects)), _poses(path, objects)
    pitch = None if pose is None else pose[:, 4]
    return Rows(chosen, events, _rewards(objects), pitch, _logs(objects), pose)


def _logs(objects: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    """What every row logs besides, as arrays (R, ...): numbers, or lists of one shape."""
    logs = {}
    for key in objects[0].keys() - ROW_FIELDS if objects else ():
        values = [data.get(key) for data in objects]
        if any(isinstance(value, str | dict | None) for value in values):
            continue
        try:
            array = np.array(values)
        except ValueError:  # lists of different lengths: not one array
            continue
        if array.dtype.kind in "biuf":
            logs[key] = array
    return logs


def row_of(
    codec: ActionCodec, chosen: Floats, before: Floats | None, state: dict[str, Any]
) -> dict[str, Any]:
    """The row that `parse_vpt_rows` or `parse_action_rows` reads back as exactly this vector."""
    if not isinstance(codec, KeysAndMouse):
        return {**state, "action": [float(str(value)) for value in chosen]}  # shortest float32
    down = set(codec.keys(chosen))
    fresh = down if before is None else down - set(codec.keys(before))
    dy, dx = (_pixels(value) for value in chosen[PITCH:])
    buttons = {button: KEYS[column] for button, column in BUTTON_COLUMN.items()}
    return {
        "mouse": {
            "dx": dx,
            "dy": dy,
            "dwheel": 0,
            "buttons": [button for button, key in buttons.items() if key in down],
            "newButtons": [button for button, key in buttons.items() if key in fresh],
        },
        "keyboard": {
            "keys": [f"key.keyboard.{NAMES[key]}" for key in KEYS if key in down & NAMES.keys()],
            "newKeys": [
                f"key.keyboard.{NAMES[key]}" for key in KEYS if key in fresh & NAMES.keys()
            ],
            "chars": "",
        },
        "isGuiOpen": bool(state.get("gui", False)),
        **{key: value for key, value in state.items() if key != "gui" and value == value},
    }


def _pixels(scalar: np.float32) -> float | int:
    """Mouse pixels of a camera scalar: the roundest number that gives the same float32 back."""
    pixels = float(scalar_to_camera(scalar)) / DEGREES_PER_PIXEL
    for digits in (0, 3, 6):
        rounded = round(pixels, digits)
        if np.float32(camera_to_scalar(rounded * DEGREES_PER_PIXEL)) == scalar:
            return int(rounded) if digits == 0 else rounded
    return pixels


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _scrolled_hotbar(chosen: Floats, hotbar: NDArray[np.int_]) -> None:
    """Side effect: marks hotbar.N where the slot then changes without a key (mouse wheel)."""
    pressed: NDArray[np.bool_] = np.max(chosen[:, HOTBAR : HOTBAR + 9] > 0, axis=1)
    before, after = hotbar[:-1], hotbar[1:]
    changed: NDArray[np.bool_] = (before != after) & (before >= 0) & (after >= 0)
    for row in np.flatnonzero(changed).tolist():
        slot = int(hotbar[row + 1])
        if slot < 9 and not pressed[max(0, row - 1) : row + 2].any():
            chosen[row, HOTBAR + slot] = 1


def _rewards(objects: list[dict[str, Any]]) -> Floats | None:
    if not any("reward" in data for data in objects):
        return None
    return np.array([data.get("reward") or 0.0 for data in objects], np.float32)


def _poses(path: Path, objects: list[dict[str, Any]]) -> Floats | None:
    """ "eye": [x, y, z, yaw, pitch] of every row; None if no row has it."""
    if not any("eye" in data for data in objects):
        return None
    poses = np.empty((len(objects), POSE), np.float32)
    for row, data in enumerate(objects):
        eye = data.get("eye")
        if not isinstance(eye, list) or len(eye) != POSE:
            raise DataError(f'{path}:{row}: "eye" must be [x, y, z, yaw, pitch], got {eye!r}.')
        try:
            with np.errstate(over="ignore"):  # too large is not finite: refused below
                poses[row] = eye
        except (TypeError, ValueError) as error:
            raise DataError(f"{path}:{row}: the pose {eye!r} holds no numbers.") from error
        if not np.isfinite(poses[row]).all():
            raise DataError(f"{path}:{row}: the pose {eye!r} is not finite; record it again.")
    return poses


def _events(path: Path, objects: list[dict[str, Any]]) -> Iterator[Event]:
    """Events as logged; in recordings without them, from the counters in `stats` (VPT)."""
    if any("events" in data for data in objects):
        for row, data in enumerate(objects):
            events = data.get("events") or []
            if not isinstance(events, list) or not all(isinstance(e, dict) for e in events):
                raise DataError(f"{path}:{row}: events must be a list of objects, got {events!r}.")
            for event in events:
                try:
                    yield Event.from_info(row, event)
                except DataError as error:
                    raise DataError(f"{path}:{row}: {error}") from error
        return
    kinds = {"mine_block": "dig", "use_item": "place"}
    before: dict[str, Any] | None = None  # the first counters seen say what was already there
    for row, data in enumerate(objects):
        stats = data.get("stats")
        if not isinstance(stats, dict):
            continue
        # Row i's counters are those before its action, so a change was made by row i - 1.
        for name in stats if before is not None else ():
            group, _, item = str(name).removeprefix("minecraft.").partition(":")
            if group in kinds and before is not None and stats[name] != before.get(name, 0):
                yield Event(row - 1, kinds[group], item)
        before = {**(before or {}), **stats}
