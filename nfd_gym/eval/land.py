"""Land that a learned Crafter makes up: what tiles show that come into view for the first time.

Recorded steps onto new ground are drawn on by one frame, so dream and recording stand at the same
edge of the same map. What is rare there (coal, iron, lava, a cow) must stay as likely as it is.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfd_gym.data import Source
from nfd_gym.eval.returning import DAY
from nfd_gym.eval.rollout import dreamt, stack
from nfd_gym.games.crafter.readings import CENTRE
from nfd_gym.games.crafter.spec import TILES, VIEW
from nfd_gym.games.crafter.tiles import TileReader
from nfd_gym.world import World

MOST = 600  # steps onto new ground
Mask = NDArray[np.bool_]


def land_table(world: World, source: Source, engine: str, tiles: TileReader) -> dict[str, Any]:
    """Shares of what new tiles show, by day, in the recordings and in the dream, with the number
    of tiles and half a 95 % interval (as if tiles were independent)."""
    context = world.denoiser.config.window + 1
    spots = [
        (index, row, new)
        for index in range(len(source.names))
        for row, new in unveiled(_positions(source, index))
        if row >= context
    ]
    picks = np.linspace(0, len(spots) - 1, min(MOST, len(spots))).round().astype(int)
    chosen = [spots[i] for i in picks]
    real = stack([source.read(i, row - context, row + 1) for i, row, _ in chosen], context)
    true, drawn = (tiles.read(frames[:, 0]) for frames in (real.real, dreamt(world, real, engine)))
    day = (true.daylight >= DAY) & (drawn.daylight >= DAY)
    masks = np.stack([new for _, _, new in chosen]) & day[:, None, None]
    count = int(masks.sum())
    rows: list[list[Any]] = []
    for number, name in enumerate(TILES):
        one, other = ((reading.view[masks] == number).mean() for reading in (true, drawn))
        if one or other:
            spread = 1.96 * float(np.sqrt(one * (1 - one) / max(1, count)))
            rows.append([name, float(one), spread, float(other), count])
    rows.sort(key=lambda row: -row[1])
    return {"columns": ["new tiles show", "recordings", "+-", "dream", "tiles"], "rows": rows}


def unveiled(positions: NDArray[np.int64]) -> list[tuple[int, Mask]]:
    """Rows of a walk (T,2) that bring a row or column of new tiles into view, and which tiles of
    the view (9,7) those are."""
    (cx, cy), seen = CENTRE, set[tuple[int, int]]()
    found = []
    for row, (x, y) in enumerate(positions.tolist()):
        view = [(i, j) for i in range(VIEW[0]) for j in range(VIEW[1])]
        places = {(i, j): (x + i - cx, y + j - cy) for i, j in view}
        new = np.array([places[spot] not in seen for spot in view]).reshape(VIEW)
        seen |= set(places.values())
        if min(VIEW) <= new.sum() <= max(VIEW):
            found.append((row, new))
    return found


def _positions(source: Source, index: int) -> NDArray[np.int64]:
    """Where the player stood (T,2), in a recording by day or night."""
    return np.asarray(source.read(index).state["position"], np.int64)
