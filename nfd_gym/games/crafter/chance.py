"""Chance figures of Crafter: how often cows move, zombies come nearer, grass gives a sapling.

Measured from looks, so that a dream and the real game are asked the same question. In the real
game cows move in .43 of steps, zombies come nearer in .67, a sapling comes in .10. A zombie beside
the player cannot come nearer and is not asked: how many stand there depends on who plays.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nfd_gym.data.clip import Clip
from nfd_gym.games.crafter.readings import CENTRE, HudReader, Look
from nfd_gym.games.crafter.spec import ACTIONS, MOST, MOVES, NUMBER, VIEW, WALKABLE

Spot = tuple[int, int]
_ENTERED = [NUMBER[name] for name in (*WALKABLE, "lava")]


def looks_of(clip: Clip, reader: HudReader) -> list[Look]:
    """Looks (T,) of a recorded clip: counts read from its frames, tiles from its rows."""
    counts, _ = reader.read(clip.frames)
    state = clip.state
    return [
        Look(counts[i], state["view"][i], (int(x), int(y)), bool(state["asleep"][i]))
        for i, (x, y) in enumerate(state["facing"])
    ]


def chances(looks: Sequence[Look], actions: Sequence[int]) -> dict[str, tuple[int, int]]:
    """How often each chance came true, of how many times; `actions[i]` produced `looks[i]`."""
    found = {"cow_moves": [0, 0], "zombie_nearer": [0, 0], "sapling": [0, 0]}
    for before, after, action in zip(looks, looks[1:], actions[1:], strict=False):
        step = _displacement(before, action)
        for old, new in _followed(before.view, after.view, NUMBER["cow"], step):
            _add(found["cow_moves"], old != new)
        for old, new in _followed(before.view, after.view, NUMBER["zombie"], step):
            if _apart(old, CENTRE) > 1:
                _add(found["zombie_nearer"], _apart(new, CENTRE) < _apart(old, CENTRE))
        if _picks_grass(before, action):
            _add(found["sapling"], after.count("sapling") > before.count("sapling"))
    return {name: (hits, trials) for name, (hits, trials) in found.items()}


def _add(pair: list[int], hit: bool) -> None:
    pair[0] += int(hit)
    pair[1] += 1


def _displacement(before: Look, action: int) -> Spot:
    """How the player moves: as commanded if the way is free; the player is the first to act."""
    dx, dy = MOVES.get(ACTIONS[action], (0, 0))
    asleep = before.asleep and before.count("energy") < MOST
    free = before.view[CENTRE[0] + dx, CENTRE[1] + dy] in _ENTERED
    return (dx, dy) if free and not asleep else (0, 0)


def _picks_grass(before: Look, action: int) -> bool:
    faced = before.view[before.faced] == NUMBER["grass"]
    return bool(
        faced and ACTIONS[action] == "do" and not before.asleep and before.count("sapling") < MOST
    )


def _followed(
    before: NDArray[np.integer], after: NDArray[np.integer], number: int, step: Spot
) -> list[tuple[Spot, Spot]]:
    """Places (old, new) of the creatures of one kind whose identity is beyond doubt.

    Both are in the coordinates of the view after the step: such a creature has none of its kind
    within two tiles before, and exactly one within one tile after.
    """
    olds = [(int(x) - step[0], int(y) - step[1]) for x, y in np.argwhere(before == number)]
    news = [(int(x), int(y)) for x, y in np.argwhere(after == number)]
    pairs = []
    for old in olds:
        inside = 0 < old[0] < VIEW[0] - 1 and 0 < old[1] < VIEW[1] - 1
        alone = all(other == old or _apart(old, other) > 2 for other in olds)
        near = [new for new in news if _apart(old, new) <= 1]
        if inside and alone and len(near) == 1:
            pairs.append((old, near[0]))
    return pairs


def _apart(one: Spot, other: Spot) -> int:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])
