"""Contact of a player's box with solid unit cells: walls stop it, steps lift, ground holds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Cell = tuple[int, int, int]
NUDGE = 0.015  # metres by which a box may graze a block
LIFT = 0.7  # share of a step's height that the smoothed eye rises in a tick


@dataclass(frozen=True, kw_only=True)
class Box:
    """A player's measures in metres. Cells have their centres at whole numbers."""

    eye: float = 1.625  # over the feet
    height: float = 1.75  # that walls must leave free
    top: float = 1.77  # of the head over the feet, for ceilings
    radius: float = 0.3
    step: float = 1.1  # climbed without a jump
    floor: float = -2.5  # nothing lies lower


def resolve(
    old: Sequence[float], new: Sequence[float],
    solid: Callable[[Cell], bool], box: Box,
) -> tuple[float, float, float]:  # fmt: skip
    """The eye's place after a wished move from `old` to `new`, with the box kept out of cells."""
    feet = old[1] - box.eye
    x, z = old[0], old[2]
    for there in ((new[0], z), (None, new[2])):
        wished = (x if there[0] is None else there[0], there[1])
        if _fits(*wished, feet, solid, box):
            x, z = wished
    ground = _ground(x, z, feet, solid, box)
    y = new[1]
    if y - box.eye < ground:
        rest = ground + box.eye
        rising = ground > feet + NUDGE
        y = max(y, old[1] + LIFT * (rest - old[1])) if rising else rest
    elif y > old[1]:
        y = max(old[1], min(y, _ceiling(x, z, feet, solid, box) - box.top + box.eye))
    return x, y, z


def _columns(x: float, z: float, box: Box) -> list[tuple[int, int]]:
    reach = 0.5 + box.radius - NUDGE
    near = range(-1, 2)
    return [
        (round(x) + a, round(z) + b)
        for a in near
        for b in near
        if abs(round(x) + a - x) < reach and abs(round(z) + b - z) < reach
    ]


def _fits(x: float, z: float, feet: float, solid: Callable[[Cell], bool], box: Box) -> bool:
    """Whether the box can stand at (x, z): what is in its way is low enough to step upon."""
    columns = _columns(x, z, box)
    top = feet
    for level in range(round(feet), round(feet + box.height) + 1):
        if level + 0.5 > feet + NUDGE and any(solid((a, level, b)) for a, b in columns):
            if level + 0.5 > feet + box.step:
                if level - 0.5 < feet + box.height - NUDGE:
                    return False
            else:
                top = max(top, level + 0.5)
    if top == feet:
        return True
    return not any(
        solid((a, level, b))
        for level in range(round(top + 0.5), round(top + box.height - NUDGE) + 1)
        for a, b in columns
        if level - 0.5 < top + box.height - NUDGE
    )


def _ground(x: float, z: float, feet: float, solid: Callable[[Cell], bool], box: Box) -> float:
    """The highest top under the box that it can stand on."""
    columns = _columns(x, z, box)
    for level in range(round(feet + box.step - 0.5), round(feet) - 3, -1):
        if level + 0.5 <= feet + box.step and any(solid((a, level, b)) for a, b in columns):
            return level + 0.5
    return box.floor


def _ceiling(x: float, z: float, feet: float, solid: Callable[[Cell], bool], box: Box) -> float:
    """The lowest bottom of a cell above the head; infinity where none is near."""
    columns = _columns(x, z, box)
    for level in range(math.ceil(feet + box.height - NUDGE + 0.5), round(feet + box.height) + 3):
        if any(solid((a, level, b)) for a, b in columns):
            return level - 0.5
    return math.inf
