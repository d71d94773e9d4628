"""Crafter's own environment, made reproducible and open to chosen starts."""

import collections
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from nfd_gym.errors import UsageError
from nfd_gym.extras import need
from nfd_gym.games.crafter.spec import AREA, COUNTS, MATERIALS, MOST, NUMBER, WALKABLE

CHUNK = (12, 12)


class Ordered:
    """A set that iterates in order of insertion."""

    def __init__(self, items: Iterable[Any] = ()) -> None:
        self._items = dict.fromkeys(items)

    def add(self, item: Any) -> None:
        self._items[item] = None

    def remove(self, item: Any) -> None:
        del self._items[item]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


def make_game(size: tuple[int, int], length: int | None) -> Any:
    """`crafter.Env` whose objects are kept in order.

    Crafter keeps the objects of a chunk in a set, which iterates in order of memory addresses: the
    creature that disappears next, and with it the episode, differs from process to process.
    """
    crafter = need("crafter", "crafter")
    engine = need("crafter.engine", "crafter")

    class OrderedWorld(engine.World):  # type: ignore[misc, name-defined]
        def reset(self, seed: int | None = None) -> None:
            super().reset(seed=seed)
            self._chunks: Any = collections.defaultdict(Ordered)

    game = crafter.Env(area=AREA, size=size, length=length, seed=0)
    world = OrderedWorld(AREA, list(MATERIALS), CHUNK)
    # The views hold the world that they draw.
    game._world = game._local_view._world = game._sem_view._world = world
    return game


def semantic(game: Any) -> npt.NDArray[np.uint8]:
    """Tile numbers [x, y] of the whole map, `spec.TILES`."""
    tiles = np.array(game._sem_view(), np.uint8)
    for thing in game._world.objects:
        if getattr(thing, "ripe", False):
            tiles[tuple(thing.pos)] = NUMBER["ripe_plant"]
    return tiles


def apply_start(game: Any, options: dict[str, Any], rng: np.random.Generator) -> None:
    """Side effect: a fresh episode's inventory, time, place and surroundings as asked."""
    player, world = game._player, game._world
    for name, count in options.get("inventory", {}).items():
        if name not in COUNTS or not 0 <= int(count) <= MOST:
            raise UsageError(
                f"options['inventory']: {name!r} is one of {', '.join(COUNTS)}, from 0 to {MOST}."
            )
        player.inventory[name] = int(count)
    game._last_health = player._last_health = player.health
    game._step = int(options.get("time", 0))
    game._update_time()
    if "place" in options:
        place = _find_place(world, player, options["place"], rng)
        if place != tuple(player.pos):
            world.move(player, place)
    for name in options.get("beside", ()):
        _put_beside(world, player, name)


def _find_place(world: Any, player: Any, place: Any, rng: np.random.Generator) -> tuple[int, int]:
    """A free tile: the given one, or one beside a material, which the player then faces."""
    if isinstance(place, str):
        if place not in MATERIALS:
            raise UsageError(f"options['place']: {place!r} is none of {', '.join(MATERIALS)}.")
        spots = np.argwhere(world._mat_map == NUMBER[place])
        for x, y in spots[rng.permutation(len(spots))].tolist():
            for dx, dy in rng.permutation(player.all_dirs).tolist():
                if player.is_free((x - dx, y - dy), WALKABLE):
                    player.facing = (dx, dy)
                    return x - dx, y - dy
        raise UsageError(f"options['place']: this map has no {place} that can be reached.")
    x, y = (int(value) for value in place)
    if (x, y) != tuple(player.pos) and not player.is_free((x, y), WALKABLE):
        raise UsageError(f"options['place']: the tile {(x, y)} is not free ground.")
    return x, y


def _put_beside(world: Any, player: Any, name: str) -> None:
    """Side effect: a material, creature or plant on a free tile within two steps of the player."""
    objects = need("crafter.objects", "crafter")
    near = [(x, y) for x in range(-2, 3) for y in range(-2, 3) if 0 < abs(x) + abs(y) <= 2]
    ahead = tuple(int(value) for value in player.facing)
    near = [spot for spot in sorted(near, key=lambda s: abs(s[0]) + abs(s[1])) if spot != ahead]
    for dx, dy in [ahead, *near]:
        spot = (int(player.pos[0]) + dx, int(player.pos[1]) + dy)
        if not player.is_free(spot, WALKABLE):
            continue
        if name in MATERIALS:
            world[spot] = name
        elif name in ("plant", "ripe_plant"):
            world[spot] = "grass"
            plant = objects.Plant(world, spot)
            plant.grown = 301 if name == "ripe_plant" else 0
            world.add(plant)
        elif name == "cow":
            world.add(objects.Cow(world, spot))
        elif name in ("zombie", "skeleton"):
            world.add(getattr(objects, name.capitalize())(world, spot, player))
        else:
            raise UsageError(f"options['beside']: {name!r} is neither a material nor a creature.")
        return
