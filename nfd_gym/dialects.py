"""Other projects' ways to write the same keys and mouse, to and from the KeysAndMouse vector.

Each pair is lossless for what the dialect can say. What it cannot say (MineStudio has no ESC, VPT's
camera has 11 bins) is dropped or rounded, never moved to another key.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nfd_gym.actions import ActionError, KeysAndMouse, Vector
from nfd_gym.keyboard import (
    GROUPS,
    KEY_INDEX,
    KEYS,
    PITCH,
    VPT_CAMERA,
    MuLaw,
    camera_to_scalar,
    scalar_to_camera,
)

MINERL = KeysAndMouse("minerl", camera=None)
HOTBAR = tuple(f"hotbar.{number}" for number in range(1, 10))

# MineStudio's environment and CraftGround's V2_MINERL_HUMAN have no names for these.
UNNAMED = ("ESC", "pickItem", "swapHands")

OASIS_ORDER = (
    "inventory", "ESC", *HOTBAR, "forward", "back", "left", "right", "cameraX", "cameraY", "jump",
    "sneak", "sprint", "swapHands", "attack", "use", "pickItem", "drop",
)  # fmt: skip
OASIS_TURN = 20.0  # degrees at +-1; cameraX is the pitch, cameraY the yaw

MINEWORLD_CAMERA = MuLaw(limit=90.0, bins=21, mu=11.4887)
MINEWORLD_KEYS = (
    "use", "attack", "forward", "back", "left", "right", "jump", "sneak", "sprint", "drop",
    "swapHands", "pickItem", "inventory", "ESC", *HOTBAR,
)  # fmt: skip
MINEWORLD_PITCH = len(MINEWORLD_KEYS)
MINEWORLD_YAW = MINEWORLD_PITCH + MINEWORLD_CAMERA.bins
MINEWORLD_BEGIN, MINEWORLD_NULL, MINEWORLD_END = (
    MINEWORLD_YAW + MINEWORLD_CAMERA.bins + offset for offset in range(3)
)
MINEWORLD_SLOTS = (  # tokens 3..9: the keys of which at most one is down
    HOTBAR, ("forward", "back"), ("left", "right"), ("sprint", "sneak"), ("use", "attack"),
    ("jump",), ("drop", "pickItem"),
)  # fmt: skip

# VPT's joint action: the groups below as digits (last fastest), then one number for "inventory".
VPT_DIGITS = ("hotbar", "fore_back", "left_right", "sprint_sneak", "use", "drop", "attack", "jump")
VPT_SIZES = (*(len(GROUPS[name]) + 1 for name in VPT_DIGITS), 2)  # the last: the camera moves
VPT_INVENTORY = int(np.prod(VPT_SIZES))  # 8640


def from_minerl(action: Mapping[str, Any]) -> Vector:
    """MineRL 1.0: a dict of 23 keys and camera [pitch, yaw] in degrees."""
    return MINERL.encode(action)


def to_minerl(vector: ArrayLike) -> dict[str, Any]:
    action: dict[str, Any] = MINERL.decode(vector)
    return action


def from_minestudio(action: Mapping[str, Any]) -> Vector:
    """MineStudio's environment action: MineRL's dict without ESC, pickItem and swapHands."""
    return MINERL.encode(action)


def to_minestudio(vector: ArrayLike) -> dict[str, Any]:
    return {key: value for key, value in to_minerl(vector).items() if key not in UNNAMED}


def from_craftground(action: Mapping[str, Any]) -> Vector:
    """CraftGround V2_MINERL_HUMAN: booleans, hotbar.N or hotbar_N, camera whole or in two parts."""
    known = dict(action)
    turn = [known.pop("camera_pitch", 0.0), known.pop("camera_yaw", 0.0)]
    camera = known.pop("camera", turn)
    named = {key.replace("hotbar_", "hotbar."): bool(held) for key, held in known.items()}
    return MINERL.encode({**named, "camera": np.asarray(camera, np.float64)})


def to_craftground(vector: ArrayLike) -> dict[str, Any]:
    action = to_minestudio(vector)
    pitch, yaw = action.pop("camera")
    held = {key: bool(value) for key, value in action.items()}
    return {**held, "camera_pitch": float(pitch), "camera_yaw": float(yaw)}


def from_oasis(action: ArrayLike) -> Vector:
    """Oasis: 25 numbers, keys 0 or 1, camera -1..1 for +-20 degrees."""
    values = np.asarray(action, np.float64)
    if values.shape != (len(OASIS_ORDER),) or not np.isfinite(values).all():
        raise ActionError(f"an Oasis action has 25 finite numbers, got {action!r}.")
    named = dict(zip(OASIS_ORDER, values.tolist(), strict=True))
    turn = (named.pop("cameraX") * OASIS_TURN, named.pop("cameraY") * OASIS_TURN)
    return MINERL.vector([key for key, value in named.items() if value > 0.5], *turn)


def to_oasis(vector: ArrayLike) -> Vector:
    """Turns beyond 20 degrees per tick are cut, as Oasis has no number for them."""
    held = set(MINERL.keys(vector))
    pitch, yaw = np.clip(scalar_to_camera(np.asarray(vector)[PITCH:]) / OASIS_TURN, -1, 1)
    camera = {"cameraX": pitch, "cameraY": yaw}
    return np.array([camera.get(name, name in held) for name in OASIS_ORDER], np.float32)


def from_mineworld(tokens: Sequence[int]) -> Vector:
    """MineWorld: begin, pitch bin, yaw bin, seven key slots, end."""
    values = [int(token) for token in tokens]
    shape = [MINEWORLD_BEGIN, *values[1:-1], MINEWORLD_END]
    camera = np.array(values[1:3]) - (MINEWORLD_PITCH, MINEWORLD_YAW) if len(values) == 11 else -1
    if values != shape or np.any(camera < 0) or np.any(camera >= MINEWORLD_CAMERA.bins):
        raise ActionError(f"not an action of 11 MineWorld tokens: {values}.")
    held = []
    for token, keys in zip(values[3:10], MINEWORLD_SLOTS, strict=True):
        if token != MINEWORLD_NULL:
            key = MINEWORLD_KEYS[token] if 0 <= token < len(MINEWORLD_KEYS) else None
            if key not in keys:
                raise ActionError(
                    f"MineWorld token {token} is none of {', '.join(keys)}: {values}."
                )
            held.append(key)
    return MINERL.vector(held, *MINEWORLD_CAMERA.to_degrees(camera))


def to_mineworld(vector: ArrayLike) -> list[int]:
    """Both keys of a slot down: neither, as in MineWorld; so are jump and sneak together."""
    held = set(MINERL.keys(vector))
    if {"jump", "sneak"} <= held:
        held -= {"jump", "sneak"}
    pitch, yaw = MINEWORLD_CAMERA.to_bin(scalar_to_camera(np.asarray(vector)[PITCH:]))
    tokens = [MINEWORLD_BEGIN, MINEWORLD_PITCH + int(pitch), MINEWORLD_YAW + int(yaw)]
    for keys in MINEWORLD_SLOTS:
        down = [key for key in keys if key in held]
        alone = down[:1] if len(down) == 1 or keys is HOTBAR else []
        tokens.append(MINEWORLD_KEYS.index(alone[0]) if alone else MINEWORLD_NULL)
    return [*tokens, MINEWORLD_END]


def from_vpt_joint(buttons: int, camera: int) -> Vector:
    """VPT's policy heads (MineStudio's agent space): one of 8641 buttons, one of 121 turns."""
    bins = VPT_CAMERA.bins
    if not 0 <= buttons <= VPT_INVENTORY or not 0 <= camera < bins * bins:
        raise ActionError(f"VPT's actions are 0..8640 and 0..120, got {buttons} and {camera}.")
    if buttons == VPT_INVENTORY:
        return MINERL.vector(["inventory"])
    *digits, moves = np.unravel_index(buttons, VPT_SIZES)
    groups = zip(digits, (GROUPS[name] for name in VPT_DIGITS), strict=True)
    keys = [group[digit - 1] for digit, group in groups if digit]
    turn = VPT_CAMERA.to_degrees(divmod(camera, bins)) if moves else (0.0, 0.0)
    return MINERL.vector(keys, *turn)


def to_vpt_joint(vector: ArrayLike) -> tuple[int, int]:
    """The nearest joint action; inventory excludes everything else, as in VPT."""
    choices = KeysAndMouse("multidiscrete", camera=None).decode(vector)
    named = dict(zip(GROUPS, choices.tolist(), strict=False))
    pitch, yaw = choices[-2:].tolist()
    still = VPT_CAMERA.bins // 2
    if named["inventory"]:
        return VPT_INVENTORY, still * VPT_CAMERA.bins + still
    moves = int((pitch, yaw) != (still, still))
    digits = [*(named[name] for name in VPT_DIGITS), moves]
    return int(np.ravel_multi_index(digits, VPT_SIZES)), pitch * VPT_CAMERA.bins + yaw


def vectors_from_columns(columns: Mapping[str, ArrayLike], rows: int) -> NDArray[np.float32]:
    """(T, A) from MineRL-like columns {key: (T,), camera: (T, 2)}; unknown columns are refused."""
    vectors = np.zeros((rows, MINERL.width), np.float32)
    for name, values in columns.items():
        if name == "camera":
            vectors[:, PITCH:] = camera_to_scalar(values)
        elif name in KEY_INDEX:
            vectors[:, KEY_INDEX[name]] = np.asarray(values).reshape(rows) > 0
        else:
            raise ActionError(f"no key {name!r} among {', '.join(KEYS)} and camera.")
    return vectors
