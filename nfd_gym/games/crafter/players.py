"""Scripted players of Crafter: achiever, wanderer out and back, uniform random.

A player sees the environment's `info` and answers with an action; its randomness is given.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from nfd_gym.games.crafter.paths import Cell, costs, deep_rock, marked, pocket, shortest
from nfd_gym.games.crafter.spec import ACTIONS, COLLECT, GROUND, MAKE, MOVES, NUMBER, PLACE, Rule

Info = Mapping[str, Any]
TURN = {step: name for name, step in MOVES.items()}
HOARD = {"wood": 6, "stone": 6, "coal": 2, "iron": 2}  # more is taken where it is at hand
FETCH = 14  # a table farther away than this is not walked to if another can be placed
LADDER = (
    "collect_sapling", "place_plant", "collect_wood", "place_table", "make_wood_pickaxe",
    "make_wood_sword", "collect_drink", "eat_cow", "collect_stone", "place_stone",
    "make_stone_pickaxe", "make_stone_sword", "wake_up", "collect_coal", "defeat_zombie",
    "place_furnace", "collect_iron", "make_iron_pickaxe", "collect_diamond", "make_iron_sword",
    "eat_plant", "defeat_skeleton",
)  # fmt: skip


class Player(Protocol):
    def act(self, info: Info) -> int: ...


class Walker:
    """Shared by players that go somewhere: a way is kept until something stands in it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self._way: list[Cell] = []
        self._aim: tuple[Any, ...] = ()

    def look(self, info: Info) -> None:
        """Side effect: what the following decisions are made on."""
        self.info, self.map, self.bag = info, info["semantic"], info["inventory"]
        self.at: Cell = info["position"]
        self.facing: Cell = info["facing"]
        self.enter = costs(self.map, self.bag)

    def tile(self, cell: Cell) -> int:
        inside = 0 <= cell[0] < self.map.shape[0] and 0 <= cell[1] < self.map.shape[1]
        return int(self.map[cell]) if inside else NUMBER["none"]

    @property
    def faced(self) -> Cell:
        return self.at[0] + self.facing[0], self.at[1] + self.facing[1]

    def go(self, names: Sequence[str], act: str = "do", limit: int = 10_000) -> str | None:
        """Towards the nearest tile of these names, then `act` on it; None if there is no way."""
        numbers = [NUMBER[name] for name in names]
        if self.tile(self.faced) in numbers:
            return act
        aim = ("tiles", *names)
        if self._aim != aim or not self._valid() or self.tile(self._way[-1]) not in numbers:
            self._way = shortest(self.enter, self.at, marked(self.map, names), limit)
            self._aim = aim
        return self._follow() if self._way and len(self._way) <= limit else None

    def go_to(self, cell: Cell) -> str | None:
        """Towards one tile; None if there is no way or it is reached."""
        if self._aim != ("cell", cell) or not self._valid():
            goal = np.zeros(self.map.shape, bool)
            goal[cell] = True
            self._way, self._aim = shortest(self.enter, self.at, goal), ("cell", cell)
        return self._follow() if self._way else None

    def defend(self) -> str | None:
        for step, turn in TURN.items():
            near = (self.at[0] + step[0], self.at[1] + step[1])
            if self.tile(near) in (NUMBER["zombie"], NUMBER["skeleton"]):
                return "do" if step == self.facing else turn
        return None

    def free(self, cell: Cell) -> bool:
        """Whether a cell lies on the map and can be walked to as it is."""
        inside = all(0 <= at < size for at, size in zip(cell, self.enter.shape, strict=True))
        return inside and bool(self.enter[cell] == 1)

    def _valid(self) -> bool:
        """Side effect: drops what has been walked. Whether the way goes on from here."""
        if self.at in self._way:
            self._way = self._way[self._way.index(self.at) + 1 :]
        if not self._way:
            return False
        x, y = self._way[0]
        near = abs(x - self.at[0]) + abs(y - self.at[1]) == 1
        return near and (len(self._way) == 1 or self.enter[x, y] > 0)

    def _follow(self) -> str:
        x, y = self._way[0]
        step = (x - self.at[0], y - self.at[1])
        if step == self.facing and self.enter[x, y] != 1:
            return "do"  # in the way, and there is a tool for it
        return TURN[step]


class Achiever(Walker):
    """Goes for the next missing achievement; a share of the actions is random."""

    def __init__(self, rng: np.random.Generator, noise: float = 0.1) -> None:
        super().__init__(rng)
        self.noise = noise
        self.den: Cell | None = None  # the tile in the rock where the night is spent
        self.sleeps_at_night = rng.random() < 0.35

    def act(self, info: Info) -> int:
        self.look(info)
        name = None if self.rng.random() < self.noise else self.want()
        return ACTIONS.index(name or self.anything())

    def anything(self) -> str:
        """Any action but sleep, which would last."""
        return str(self.rng.choice([name for name in ACTIONS if name != "sleep"]))

    def want(self) -> str | None:
        if self.info["asleep"]:
            return "noop"
        for wish in (self.defend, self.shelter, self.survive, self.hoard, self.climb, self.stroll):
            action = wish()
            if action is not None:
                return action
        return None

    def shelter(self) -> str | None:
        """At night, tired, with stone and pickaxe: into the rock, the way closed behind."""
        bag = self.bag
        tired = bag["energy"] < 7 and min(bag["food"], bag["drink"]) > 2
        if self.info["daylight"] > 0.45 or not (tired and bag["stone"] and bag["wood_pickaxe"]):
            self.den = None
            return None
        if pocket(self.enter, self.at) <= 3:
            return "sleep"
        if self.free(self.faced) and pocket(self.enter, self.at, self.faced) <= 3:
            return "place_stone"
        if self.den == self.at:  # deep enough: one step back, to face the way that was dug
            self.den = None
            x, y = self.at
            ways = (turn for (dx, dy), turn in TURN.items() if self.free((x + dx, y + dy)))
            return next(ways, None)
        if self.den is None:
            way = shortest(self.enter, self.at, deep_rock(self.map), limit=30)
            self.den = way[-1] if way else None
        return None if self.den is None else self.go_to(self.den)

    def survive(self) -> str | None:
        bag, action = self.bag, None
        if bag["drink"] < 4:
            action = self.go(["water"])
        if action is None and bag["food"] < 5:
            action = self.go(["ripe_plant"], limit=20) or self.go(["cow"])
        night = self.info["daylight"] < 0.25 and bag["energy"] < 8 and self.sleeps_at_night
        if action is None and (bag["energy"] < 3 or night) and not self.threatened():
            action = "sleep"
        return action

    def hoard(self) -> str | None:
        for item, most in HOARD.items():
            rule = COLLECT[item]
            if 0 < self.bag[item] < most and self.lacking(rule) is None:
                action = self.go(rule.where, limit=2)
                if action is not None:
                    return action
        return None

    def climb(self) -> str | None:
        done = self.info["achievements"]
        for name in LADDER:
            action = None if done[name] else self.achieve(name)
            if action is not None:
                return action
        return None

    def achieve(self, name: str) -> str | None:
        verb, _, thing = name.partition("_")
        if verb == "collect":
            return self.collect(thing)
        if verb == "place":
            return self.place(thing)
        if verb == "make":
            return self.make(thing)
        if verb == "wake":
            return "sleep" if self.bag["energy"] < 9 and not self.threatened() else None
        if name == "eat_plant":
            return self.go(["ripe_plant"])
        return self.go([thing], limit=12 if verb == "defeat" else 60)

    def threatened(self) -> bool:
        x, y = self.at
        around = self.map[max(0, x - 6) : x + 7, max(0, y - 6) : y + 7]
        return bool(marked(around, ("zombie", "skeleton")).any())

    def lacking(self, rule: Rule) -> str | None:
        return next((item for item, n in rule.uses.items() if self.bag[item] < n), None)

    def collect(self, thing: str) -> str | None:
        rule = COLLECT[thing]
        tool = self.lacking(rule)
        return self.go(rule.where) if tool is None else self.make(tool)

    def place(self, thing: str) -> str | None:
        rule = PLACE[thing]
        item = self.lacking(rule)
        if item is not None:
            return self.collect(item)
        return self.go(rule.where if thing == "plant" else GROUND, f"place_{thing}")

    def make(self, thing: str) -> str | None:
        rule = MAKE[thing]
        item = self.lacking(rule)
        if item is not None:
            return self.collect(item)
        x, y = self.at
        around = self.map[max(0, x - 1) : x + 2, max(0, y - 1) : y + 2]
        for tool in rule.nearby:
            if not marked(around, (tool,)).any():
                spare = all(
                    self.bag[item] >= count + rule.uses.get(item, 0)
                    for item, count in PLACE[tool].uses.items()
                )
                # Where one of two tools stands the other is placed: no walking to and fro.
                near = 1 if any(marked(around, (other,)).any() for other in rule.nearby) else FETCH
                action = self.go([tool], limit=near if spare else 10_000)
                return action or self.place(tool)
        return f"make_{thing}"

    def stroll(self) -> str | None:
        return self.go(["zombie", "skeleton", "cow"], limit=30)


class Wanderer(Walker):
    """Walks to a place 10, 30 or 60 steps away and back to where it came from, again and again."""

    DISTANCES = (10, 30, 60)

    def __init__(self, rng: np.random.Generator, noise: float = 0.02) -> None:
        super().__init__(rng)
        self.noise = noise
        self.stops: list[Cell] = []
        self.patience = 0

    def act(self, info: Info) -> int:
        self.look(info)
        if info["asleep"] or self.rng.random() < self.noise:
            return int(self.rng.integers(1, 6))  # a move or "do"
        if not self.stops or self.patience <= 0:
            self.stops = [self.somewhere(), self.at]
            self.patience = 300
        self.patience -= 1
        if self.at == self.stops[0]:
            self.stops.pop(0)
        action = self.defend() or (self.go_to(self.stops[0]) if self.stops else None)
        if action is None:
            self.stops = []
            action = str(self.rng.choice(list(MOVES)))
        return ACTIONS.index(action)

    def look(self, info: Info) -> None:
        super().look(info)
        self.enter = np.where(self.enter == 1, self.enter, 0)  # nothing is dug on a walk

    def somewhere(self) -> Cell:
        """A tile about one of the DISTANCES away, or the farthest that can be reached."""
        wish = int(self.rng.choice(self.DISTANCES))
        ring, seen = [self.at], {self.at}
        for _ in range(wish):
            steps = [(x + dx, y + dy) for x, y in ring for dx, dy in TURN]
            new = dict.fromkeys(cell for cell in steps if cell not in seen)
            new = {cell: None for cell in new if self.tile(cell) and self.enter[cell] == 1}
            if not new:
                break
            ring = list(new)
            seen.update(ring)
        return ring[int(self.rng.integers(len(ring)))]


class Random:
    """Any of the 17 actions, evenly."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def act(self, info: Info) -> int:
        return int(self.rng.integers(len(ACTIONS)))
