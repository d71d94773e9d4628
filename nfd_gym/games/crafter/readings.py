"""Readings of Crafter: the 16 counts from pixels, the 22 achievements and the reward from looks.

A look is what one frame shows. Two looks and the action between them decide everything that the
game counts, as its own rules do; nothing here needs the game to be installed except the templates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfd_gym.extras import need
from nfd_gym.games.crafter.spec import (
    ACHIEVEMENTS,
    ACTIONS,
    COLLECT,
    COUNTS,
    HEALTH,
    HUD,
    MAKE,
    MOST,
    NUMBER,
    PLACE,
    SWORDS,
    TILE,
    TILES,
    VIEW,
    Rule,
)

Ints = NDArray[np.int64]
CENTRE = (VIEW[0] // 2, VIEW[1] // 2)  # where the player stands in the view
CERTAIN = tuple(name for name in COLLECT if name != "sapling")


def view_of(semantic: NDArray[Any], position: tuple[int, int]) -> NDArray[np.uint8]:
    """The (9, 7) tile numbers in view around a position on the (64, 64) map; 0 beyond its edge."""
    (cx, cy), (x, y) = CENTRE, position
    padded = np.pad(np.asarray(semantic, np.uint8), ((cx, cx), (cy, cy)))
    return padded[x : x + VIEW[0], y : y + VIEW[1]].copy()


class HudReader:
    """Counts from pixels by the nearest of ten templates for each of the 16 places."""

    def __init__(self, templates: NDArray[np.uint8]) -> None:
        self.templates = templates  # (16, 10, tile, tile, 3)
        self.tile = templates.shape[2]
        flat = templates.reshape(len(COUNTS), MOST + 1, -1).astype(np.float32)
        self._flat, self._norm = flat, (flat**2).sum(-1)

    @classmethod
    def from_game(cls, tile: int = TILE) -> "HudReader":
        """Templates drawn by the installed game."""
        return cls(drawn_counts(tile))

    def read(self, frames: NDArray[np.uint8]) -> tuple[Ints, NDArray[np.float32]]:
        """Counts (T, 16) of frames (T, H, W, 3), and each reading's mean squared error."""
        rows = frames[:, VIEW[1] * self.tile : (VIEW[1] + HUD[1]) * self.tile]
        seen = _tiles(rows[:, :, : HUD[0] * self.tile], self.tile)[:, : len(COUNTS)]
        flat = seen.reshape(len(frames), len(COUNTS), -1).astype(np.float32)
        match = np.einsum("tkp,knp->tkn", flat, self._flat)
        apart = (flat**2).sum(-1)[..., None] - 2 * match + self._norm
        best = apart.argmin(-1)
        error = np.take_along_axis(apart, best[..., None], -1)[..., 0] / flat.shape[-1]
        return best, np.maximum(error, 0).astype(np.float32)


@dataclass(frozen=True)
class Look:
    """What one frame shows: counts (16,), tile numbers (9, 7), facing (dx, dy), asleep."""

    counts: NDArray[Any]
    view: NDArray[Any]
    facing: tuple[int, int]
    asleep: bool

    @classmethod
    def of_info(cls, info: dict[str, Any]) -> "Look":
        counts = np.array([info["inventory"][name] for name in COUNTS])
        view = view_of(info["semantic"], info["position"])
        return cls(counts, view, info["facing"], info["asleep"])

    def count(self, name: str) -> int:
        return int(self.counts[COUNTS.index(name)])

    @property
    def faced(self) -> tuple[int, int]:
        """Where in the view the faced tile is."""
        return CENTRE[0] + self.facing[0], CENTRE[1] + self.facing[1]

    def nearby(self, name: str) -> bool:
        """Whether a tile is in the 3x3 around the player; never at the map's left and upper edge,
        where the game looks at an empty slice."""
        (x, y), none = CENTRE, NUMBER["none"]
        if self.view[x - 1, y] == none or self.view[x, y - 1] == none:
            return False
        return bool((self.view[x - 1 : x + 2, y - 1 : y + 2] == NUMBER[name]).any())

    def affords(self, rule: Rule) -> bool:
        return all(self.count(item) >= count for item, count in rule.uses.items())


def strike(before: Look, action: int) -> tuple[str, int] | None:
    """The creature that a step hits, and the damage."""
    tile = int(before.view[before.faced])
    if ACTIONS[action] != "do" or (before.asleep and before.count("energy") < MOST):
        return None
    kind = TILES[tile]
    damage = max(power for sword, power in SWORDS.items() if not sword or before.count(sword))
    return (kind, damage) if kind in HEALTH else None


def achieved(
    before: Look, action: int, after: Look, wounds: Mapping[str, int] = HEALTH
) -> set[str]:
    """Names of the achievements that a step counts, unlocked before or not.

    `wounds` is the damage dealt to each kind of creature, this step's included, less the health
    of those that died: one that vanished with less of it was taken away by the game.
    """
    found: set[str] = set()
    name = ACTIONS[action]
    if before.asleep:
        if before.count("energy") < MOST:
            return found
        found.add("wake_up")
    verb, _, thing = name.partition("_")
    tile = int(before.view[before.faced])
    if name == "do":
        found |= _done(before, tile, after, wounds)
    elif verb == "place":
        rule = PLACE[thing]
        if tile in [NUMBER[where] for where in rule.where] and before.affords(rule):
            found.add(name)
    elif verb == "make":
        rule = MAKE[thing]
        if before.affords(rule) and all(before.nearby(tool) for tool in rule.nearby):
            found.add(name)
    return found


def _done(before: Look, tile: int, after: Look, wounds: Mapping[str, int]) -> set[str]:
    """What `do` on a tile achieved."""
    if tile == NUMBER["ripe_plant"]:
        return {"eat_plant"}
    kind = TILES[tile]
    if kind in HEALTH:
        if wounds[kind] < HEALTH[kind] or not _gone(before, tile, after):
            return set()
        return {"eat_cow" if kind == "cow" else f"defeat_{kind}"}
    for thing in CERTAIN:
        rule = COLLECT[thing]
        if tile == NUMBER[rule.where[0]] and before.affords(rule):
            return {f"collect_{thing}"}
    grown = after.count("sapling") > before.count("sapling")
    return {"collect_sapling"} if tile == NUMBER["grass"] and grown else set()


def _gone(before: Look, number: int, after: Look) -> bool:
    """Whether the creature faced is dead: it and its neighbours cannot all still be there.

    The player stood still and a creature moves one tile at most, so all of those that cannot have
    left the view must be matched to creatures of the next look.
    """
    target = before.faced
    spots = [spot for spot in _spots(before.view, number) if _steps(spot, target) <= 3]
    staying = [s for s in spots if 0 < s[0] < VIEW[0] - 1 and 0 < s[1] < VIEW[1] - 1]
    return _matched(staying, _spots(after.view, number)) < len(staying)


def _spots(view: NDArray[Any], number: int) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in np.argwhere(view == number)]


def _steps(one: tuple[int, int], other: tuple[int, int]) -> int:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _matched(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> int:
    """Size of the largest matching of places before to places after, at most one step apart."""
    owner: dict[int, int] = {}

    def find(index: int, tried: set[int]) -> bool:
        for place, spot in enumerate(after):
            if place in tried or _steps(before[index], spot) > 1:
                continue
            tried.add(place)
            if place not in owner or find(owner[place], tried):
                owner[place] = index
                return True
        return False

    return sum(find(index, set()) for index in range(len(before)))


class Rules:
    """Flags (22,) of unlocked achievements and the reward, step by step from looks."""

    def __init__(self, first: Look) -> None:
        self.look = first
        self.flags: NDArray[np.bool_] = np.zeros(len(ACHIEVEMENTS), bool)
        self.wounds = dict.fromkeys(HEALTH, 0)

    def step(self, action: int, look: Look) -> tuple[float, bool, set[str]]:
        """Reward, whether the player is dead, and the achievements unlocked by this step."""
        blow = strike(self.look, action)
        if blow is not None:
            self.wounds[blow[0]] += blow[1]
        names = achieved(self.look, action, look, self.wounds)
        if blow is not None and names & {"eat_cow", f"defeat_{blow[0]}"}:
            self.wounds[blow[0]] -= HEALTH[blow[0]]
        new = {name for name in names if not self.flags[ACHIEVEMENTS.index(name)]}
        for name in new:
            self.flags[ACHIEVEMENTS.index(name)] = True
        health = look.count("health")
        reward = (health - self.look.count("health")) / 10 + (1.0 if new else 0.0)
        self.look = look
        return reward, health <= 0, new


def drawn_counts(tile: int = TILE) -> NDArray[np.uint8]:
    """Templates (16, 10, tile, tile, 3) of the counts, drawn by the installed game."""
    engine, crafter = need("crafter.engine", "crafter"), need("crafter", "crafter")
    textures = engine.Textures(crafter.constants.root / "assets")
    draw = engine.ItemView(textures, list(HUD))
    pictures = [draw(dict.fromkeys(COUNTS, n), (tile, tile)) for n in range(MOST + 1)]
    strips = np.stack(pictures).astype(np.uint8).transpose(0, 2, 1, 3)
    return _tiles(strips, tile)[:, : len(COUNTS)].transpose(1, 0, 2, 3, 4)


def _tiles(rows: NDArray[np.uint8], tile: int) -> NDArray[np.uint8]:
    """Rows (T, h * tile, w * tile, 3) as tiles (T, h * w, tile, tile, 3)."""
    count, height, width, _ = rows.shape
    parts = rows.reshape(count, height // tile, tile, width // tile, tile, 3)
    return parts.transpose(0, 1, 3, 2, 4, 5).reshape(count, -1, tile, tile, 3)
