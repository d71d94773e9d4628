"""What Crafter's actions do in a learned world: F1 of each kind of effect one step ahead, and how
often nothing happens where nothing may happen.

Recorded tries are drawn again from the frames before them. A try is an action whose effect is
certain once the state is known: a step, taking what is faced, placing, making. Saplings are chance.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfd_gym.data import Source
from nfd_gym.data.clip import Clip
from nfd_gym.eval.rollout import Excerpt, dreamt, stack
from nfd_gym.games.crafter.readings import CENTRE, CERTAIN, HudReader
from nfd_gym.games.crafter.spec import ACTIONS, COLLECT, COUNTS, MOVES, NUMBER, PLACE
from nfd_gym.games.crafter.tiles import TileReader
from nfd_gym.world import World

VERBS = ("move", "collect", "place", "make", "sleep")
TAKEN = {NUMBER[where]: thing for thing in CERTAIN for where in COLLECT[thing].where}


def effect_table(
    world: World, source: Source, most: int, engine: str, hud: HudReader, tiles: TileReader
) -> dict[str, Any]:
    """Precision, recall and F1 of effects and the share of failing tries that stay without one, of
    at most `most` tries that succeed and as many that fail."""
    columns = ["action", "successes", "failures", "precision", "recall", "F1", "nothing, rightly"]
    rows: list[list[Any]] = []
    found = tries(source, world.denoiser.config.window + 1)
    for verb in VERBS:
        chosen: list[tuple[Clip, bool]] = []
        for happened in (True, False):
            those = [clip for clip in found if clip[1] == (verb, happened)]
            picks = np.linspace(0, len(those) - 1, min(most, len(those))).round().astype(int)
            chosen += [(source.read(*those[i][0]), happened) for i in picks]
        if not chosen:
            continue
        context = world.denoiser.config.window + 1
        real = stack([clip for clip, _ in chosen], context)
        drawn = dreamt(world, real, engine)[:, 0]
        true = np.array([happened for _, happened in chosen])
        seen = shown(verb, real, drawn, hud, tiles)
        hits = int((seen & true).sum())
        precision, recall = hits / max(1, int(seen.sum())), hits / max(1, int(true.sum()))
        score = 2 * precision * recall / max(1e-9, precision + recall)
        nothing = float((~seen)[~true].mean()) if (~true).any() else None
        rows.append([
            verb, int(true.sum()), int((~true).sum()), precision, recall, score, nothing,
        ])  # fmt: skip
    return {"columns": columns, "rows": rows}


def tries(source: Source, context: int) -> list[tuple[tuple[int, int, int], tuple[str, bool]]]:
    """((clip, start, stop), (verb, whether it happened)) of every try after `context` frames."""
    found = []
    for index in range(len(source.names)):
        clip = source.read(index)
        state = {name: np.asarray(values) for name, values in clip.state.items()}
        for row in range(context, len(clip)):
            told = ACTIONS[int(clip.actions[row].argmax())]
            verb = verb_of(told, state, row - 1)
            if verb is not None:
                place = (index, row - context, row + 1)
                found.append((place, (verb, happened(verb, told, state, row))))
    return found


def verb_of(told: str, state: dict[str, NDArray[Any]], before: int) -> str | None:
    """The kind of a try, or None where there is none: sleepers do not act, grass is chance."""
    if state["asleep"][before]:
        return None
    verb = told.partition("_")[0]
    if told == "do":
        x, y = CENTRE + state["facing"][before]
        return "collect" if int(state["view"][before][x, y]) in TAKEN else None
    return verb if verb in VERBS else None


def happened(verb: str, told: str, state: dict[str, NDArray[Any]], row: int) -> bool:
    """Whether a recorded try had its effect."""
    if verb == "sleep":
        return bool(state["asleep"][row])
    if verb == "move":
        return bool((state["position"][row] != state["position"][row - 1]).any())
    counts = state["counts"][row] - state["counts"][row - 1]
    return effect(verb, told, counts, state["view"][row - 1], state["facing"][row - 1])


def effect(
    verb: str, told: str, counts: NDArray[Any], view: NDArray[Any], facing: NDArray[Any]
) -> bool:
    """Whether counts (16,) changed as a success of `told` changes them."""
    if verb == "collect":
        x, y = CENTRE + facing
        return bool(counts[COUNTS.index(TAKEN[int(view[x, y])])] > 0)
    thing = told.partition("_")[2]
    if verb == "make":
        return bool(counts[COUNTS.index(thing)] > 0)
    used = next(iter(PLACE[thing].uses))
    return bool(counts[COUNTS.index(used)] < 0)


def shown(
    verb: str, real: Excerpt, drawn: NDArray[np.uint8], hud: HudReader, tiles: TileReader
) -> NDArray[np.bool_]:
    """Whether drawn frames (B,H,W,3) show the effect of the tries of stretches."""
    old, new = tiles.read(real.last), tiles.read(drawn)
    counts = hud.read(drawn)[0] - hud.read(real.last)[0]
    out = np.zeros(len(drawn), bool)
    for i, action in enumerate(real.actions[:, real.context].argmax(-1)):
        told, facing = ACTIONS[int(action)], old.facing[i]
        if verb == "sleep":
            out[i] = new.asleep[i]
            continue
        if verb == "move":
            step = MOVES[told]
            shifted = np.roll(old.view[i], (-step[0], -step[1]), (0, 1)) == new.view[i]
            out[i] = shifted.mean() > (old.view[i] == new.view[i]).mean()
            continue
        out[i] = effect(verb, told, counts[i], old.view[i], facing)
        if verb == "place":
            x, y = CENTRE + facing
            out[i] &= int(new.view[i][x, y]) == NUMBER[told.partition("_")[2]]
    return out
