"""What a learned Crafter leaves to chance, one step ahead of recorded frames, by denoising steps.

The frames before a recorded chance (a cow in view, grass that is picked, a sleeper) are drawn on by
one step, so dream and recording are asked the same question, and a creature that vanishes counts.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nfd_gym.data import Source
from nfd_gym.eval.rollout import Excerpt, Frames, dreamt, stack
from nfd_gym.games.crafter.chance import chances, looks_of
from nfd_gym.games.crafter.readings import HudReader, Look
from nfd_gym.games.crafter.spec import MOST as FULL
from nfd_gym.games.crafter.tiles import TileReader, looks_of_reading
from nfd_gym.world import World

MOST = 120  # recorded chances of a kind
NAMES = ("cow_moves", "zombie_nearer", "sapling", "wakes_up")
SOLVERS = (("euler", 1), ("euler", 2), ("euler", 4), ("dpm", 8), ("dpm", 18))


def chance_table(
    world: World, source: Source, engine: str, hud: HudReader, tiles: TileReader
) -> dict[str, Any]:
    """Rates by solver and steps; `kept` is the share of creatures that are there after the step."""
    columns = ["world"]
    for name in NAMES:
        columns += [name, "+-", *(["kept"] if name in NAMES[:2] else []), "tries"]
    found = asked(source, world.denoiser.config.window + 1)
    real = {name: stack(clips, world.denoiser.config.window + 1) for name, clips in found.items()}
    rows: list[list[Any]] = []
    for how in (None, *_settings(world)):
        row: list[Any] = ["recordings" if how is None else f"{how.method}, {len(how.sigmas)} steps"]
        for name in NAMES:
            if name not in real:
                row += [None, None, *([None] if name in NAMES[:2] else []), 0]
                continue
            after = real[name].real
            if how is not None:
                after = dreamt(replace(world, settings=how), real[name], engine)
            row += figures(name, real[name], after, hud, tiles)
        rows.append(row)
    return {"columns": columns, "rows": rows}


def asked(source: Source, context: int) -> dict[str, list[Any]]:
    """Stretches of `context` frames and one more, for each chance evenly over the recordings."""
    places: dict[str, list[tuple[int, int]]] = {name: [] for name in NAMES}
    reader = HudReader.from_game()
    for index in range(len(source.names)):
        clip = source.read(index)
        looks, actions = looks_of(clip, reader), clip.actions.argmax(-1).tolist()
        for row in range(context, len(clip)):
            pair = slice(row - 1, row + 1)
            for name, (_, tries) in counted(looks[pair], actions[pair]).items():
                if tries:
                    places[name].append((index, row))
    out = {}
    for name, spots in places.items():
        picks = np.linspace(0, len(spots) - 1, min(MOST, len(spots))).round().astype(int)
        clips = [source.read(spots[i][0], spots[i][1] - context, spots[i][1] + 1) for i in picks]
        if clips:
            out[name] = clips
    return out


def counted(looks: Sequence[Look], actions: Sequence[int]) -> dict[str, tuple[int, int]]:
    """`chances` of one step, and whether a sleeper's energy, which wakes it when full, rises."""
    before, after = looks
    rises = before.asleep and before.count("energy") < FULL
    woken = int(rises and after.count("energy") > before.count("energy"))
    return {**chances(looks, actions), "wakes_up": (woken, int(rises))}


def figures(
    name: str, real: Excerpt, after: Frames, hud: HudReader, tiles: TileReader
) -> list[Any]:
    """Rate, half a 95 % interval, share of creatures kept and tries, of frames (B,1,H,W,3)."""
    hits = tries = 0
    for last, now, told in zip(real.last, after[:, 0], real.actions[:, -2:], strict=True):
        frames = np.stack([last, now])
        looks = looks_of_reading(tiles.read(frames), hud.read(frames)[0])
        more, of = counted(looks, told.argmax(-1).tolist())[name]
        hits, tries = hits + more, tries + of
    rate = hits / max(1, tries)
    spread = 1.96 * float(np.sqrt(rate * (1 - rate) / max(1, tries)))
    kept = [tries / len(real.last)] if name in NAMES[:2] else []
    return [rate, spread, *kept, tries]


def _settings(world: World) -> list[Any]:
    """The world's own sampling, and where every level was trained that of other solvers."""
    own = world.settings
    if own.trained or len(own.sigmas) == 1:
        return [own]
    others = [replace(own.with_steps(n), method=method) for method, n in SOLVERS]
    return [own, *(how for how in others if how != own)]
