"""Figures of a Crafter world, tile by tile and by chance, from pictures.

Tiles are read by the nearest sprite; a tile is valid where it is within 30 dB of one. Far corners
of dark frames hold nothing but noise, so tiles are only counted where a frame is read as daylight.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfd_gym.data import Source
from nfd_gym.eval.chances import chance_table
from nfd_gym.eval.effects import effect_table
from nfd_gym.eval.land import land_table
from nfd_gym.eval.returning import CREATURES, DAY, return_table
from nfd_gym.eval.rollout import Excerpt, Frames, cut
from nfd_gym.games.crafter.readings import HudReader
from nfd_gym.games.crafter.spec import ACTIONS, MOVES, SPEC
from nfd_gym.games.crafter.tiles import Reading, TileReader
from nfd_gym.world import World

AT = (1, 16, 64, 256)
VALID = 255.0**2 / 1000  # mean squared error at 30 dB
TRIES = 100  # of each action that succeed, and as many that fail
RETURNS = 16  # stretches that are walked away from


def fits(world: World) -> bool:
    """Whether a world was learned from recordings of Crafter."""
    return world.provenance.get("game") == SPEC.id


def tables(
    world: World, source: Source, real: Excerpt, made: Frames, engine: str
) -> dict[str, dict[str, Any]]:
    """Tiles and counts of free runs, effects of actions, the ground after a return, what the world
    leaves to chance by denoising steps, and the land that it makes up."""
    hud, tiles = HudReader.from_game(), TileReader()
    return {
        "tiles": tile_table(made, real, hud, tiles),
        "effects": effect_table(world, source, TRIES, engine, hud, tiles),
        "return": return_table(world, cut(source, RETURNS, real.context, 1), engine, tiles),
        "chance": chance_table(world, source, engine, hud, tiles),
        "land": land_table(world, source, engine, tiles),
    }


def tile_table(made: Frames, real: Excerpt, hud: HudReader, tiles: TileReader) -> dict[str, Any]:
    """Shares of right tiles and counts after one frame; of valid ones at later frames."""
    columns = [
        "frame", "runs by day", "valid tiles", "legal counts", "counts right",
        "tiles right", "tiles right, last frame's view", "tiles right, new row",
        "valid tiles, any light", "daylight error",
    ]  # fmt: skip
    rows: list[list[Any]] = []
    for step in AT:
        if step > real.horizon:
            continue
        shown = real.real[:, step - 1]
        before = real.last if step == 1 else real.real[:, step - 2]
        drawn, true, old = (tiles.read(frames) for frames in (made[:, step - 1], shown, before))
        day = (drawn.daylight >= DAY) & (true.daylight >= DAY)
        (counts, error), (real_counts, _) = hud.read(made[:, step - 1]), hud.read(shown)
        still = ~np.isin(drawn.view, CREATURES) & ~np.isin(true.view, CREATURES)
        right = drawn.view == true.view
        new = entering(old, true, real.actions[:, real.context + step - 1])
        first = day & (step == 1)  # later the dream has gone another way
        figures = (
            (drawn.error < VALID)[day], error < VALID, counts == real_counts, right[first],
            right[first][(still & ~new)[first]], right[first][(still & new)[first]],
            drawn.error < VALID, np.abs(drawn.daylight - true.daylight),
        )  # fmt: skip
        rows.append([
            step, int(day.sum()), *(float(part.mean()) if part.size else None for part in figures),
        ])  # fmt: skip
    return {"columns": columns, "rows": rows}


def entering(before: Reading, after: Reading, actions: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tiles (T,9,7) that come into view where a commanded step shifted it."""
    new = np.zeros(after.view.shape, bool)
    for i, action in enumerate(actions.argmax(-1)):
        dx, dy = MOVES.get(ACTIONS[int(action)], (0, 0))
        if (dx, dy) == (0, 0):
            continue
        shifted = np.roll(before.view[i], (-dx, -dy), (0, 1)) == after.view[i]
        if shifted.mean() > (before.view[i] == after.view[i]).mean():
            along = new[i] if dx else new[i].T  # a view of it: the axis of the step comes first
            along[-1 if dx + dy > 0 else 0] = True
    return new
