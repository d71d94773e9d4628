"""Shortest ways over Crafter's semantic map, through stone where there is a pickaxe."""

import heapq
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from nfd_gym.games.crafter.spec import AREA, COLLECT, NUMBER, WALKABLE

Cell = tuple[int, int]
STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1))
DIGGING = 2  # steps that a tile in the way costs: one to dig it, one to enter
BREAKABLE = ("stone", "coal", "iron", "diamond", "wood")


def costs(semantic: npt.NDArray[np.uint8], inventory: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """Steps (64, 64) to enter each tile; 0 where there is no way."""
    by_tile = np.zeros(256, np.int64)
    by_tile[[NUMBER[name] for name in WALKABLE]] = 1
    for thing in BREAKABLE:
        rule = COLLECT[thing]
        if all(inventory[tool] >= count for tool, count in rule.uses.items()):
            by_tile[NUMBER[rule.where[0]]] = DIGGING
    return by_tile[semantic]


def shortest(
    enter: npt.NDArray[np.int64], start: Cell, goal: npt.NDArray[np.bool_], limit: int = 10_000
) -> list[Cell]:
    """Tiles from the first step to the nearest goal tile, itself perhaps closed; [] if none."""
    if not goal.any():
        return []
    width, height = AREA
    open_, wanted = enter.ravel().tolist(), goal.ravel().tolist()
    before = {start: start}
    queue = [(0, start)]
    while queue:
        cost, cell = heapq.heappop(queue)
        x, y = cell
        if wanted[x * height + y] and cell != start:
            return _back(before, cell, start)
        step = open_[x * height + y] if cell != start else 1
        if step == 0 or cost >= limit:
            continue
        for dx, dy in STEPS:
            near = (x + dx, y + dy)
            if near in before or not (0 <= near[0] < width and 0 <= near[1] < height):
                continue
            index = near[0] * height + near[1]
            if open_[index] or wanted[index]:
                before[near] = cell
                heapq.heappush(queue, (cost + (open_[index] or 1), near))
    return []


def marked(semantic: npt.NDArray[np.uint8], names: Iterable[str]) -> npt.NDArray[np.bool_]:
    """Which tiles (64, 64) are of these names."""
    return np.isin(semantic, [NUMBER[name] for name in names])


def pocket(enter: npt.NDArray[np.int64], start: Cell, closed: Cell | None = None) -> int:
    """How many tiles can be walked to, the start included; counting stops after 10."""
    seen, queue = {start}, [start]
    while queue and len(seen) < 10:
        x, y = queue.pop()
        for dx, dy in STEPS:
            near = (x + dx, y + dy)
            inside = 0 <= near[0] < enter.shape[0] and 0 <= near[1] < enter.shape[1]
            if inside and enter[near] == 1 and near != closed and near not in seen:
                seen.add(near)
                queue.append(near)
    return len(seen)


def deep_rock(semantic: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Stone tiles (64, 64) with nothing but rock within two steps."""
    rock = np.pad(marked(semantic, BREAKABLE[:4]), 2)
    width, height = semantic.shape
    deep = marked(semantic, ("stone",))
    for dx in range(-2, 3):
        for dy in range(abs(dx) - 2, 3 - abs(dx)):
            deep &= rock[2 + dx : 2 + dx + width, 2 + dy : 2 + dy + height]
    return deep


def _back(before: Mapping[Cell, Cell], cell: Cell, start: Cell) -> list[Cell]:
    way = []
    while cell != start:
        way.append(cell)
        cell = before[cell]
    return way[::-1]
