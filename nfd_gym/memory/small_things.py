"""Small things off the lattice (flowers, posts): squares of 1/16 m, completed from their copies.

A thing stands in a cell. Its flat sides are filmed in part, from wherever somebody walked by, but
things of one shape stand in many cells, and all together show every side whole. Colours stay the
thing's own where any are known.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

UNITS = 32  # steps of a metre in which places are counted
SQUARE = 2  # steps of a square's edge
FEWEST = 3  # squares that tell a side from a side seen badly
ALIKE = 0.75  # share of a thing's sides that a copy must have too
SUPPORT = 0.1  # share of the copies with a side that must show a square for it to count
SNAP = 2  # steps within which a side ends where another begins
PLAIN = 20.0  # grey levels within which copies differ on a square of one colour

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Side = tuple[
    int, int
]  # facing 0..5 = -x, +x, -y, +y, -z, +z, and its plane in steps from the middle


@dataclass(frozen=True)
class Thing:
    """Squares of one cell, by side: places in the plane (N,2) and colours (N,3)."""

    cell: Ints  # (3,)
    sides: dict[Side, tuple[Ints, Ints]] = field(default_factory=dict)

    def like(self, model: "Thing") -> bool:
        shared = len(self.sides.keys() & model.sides.keys())
        return shared >= ALIKE * len(self.sides)


def completed(
    place: NDArray[np.int16], facing: NDArray[np.uint8], colour: NDArray[np.uint8]
) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.uint8]]:
    """Places (L,3) in steps, facings (L,) and colours (L,3) of all squares that the things have;
    things without copies stay as they are."""
    rest, parts = things_of(place, facing, colour), list[tuple[Ints, Ints, Ints]]()
    while rest:
        model = max(rest, key=lambda thing: len(thing.sides))
        copies = [thing for thing in rest if thing.like(model)]
        rest = [thing for thing in rest if not thing.like(model)]
        shape = Shape(copies)
        for thing in copies:
            sides = shape.painted(thing) if len(copies) > 1 else thing.sides
            parts += [_placed(thing, side, *squares) for side, squares in sides.items()]
    if not parts:
        return place[:0], facing[:0], colour[:0]
    places, facings, colours = (np.concatenate(part) for part in zip(*parts, strict=True))
    return places.astype(np.int16), facings.astype(np.uint8), colours.astype(np.uint8)


def things_of(
    place: NDArray[np.int16], facing: NDArray[np.uint8], colour: NDArray[np.uint8]
) -> list[Thing]:
    """One thing per cell; sides of fewer than FEWEST squares are left out."""
    steps = place.astype(np.int64)
    home = np.floor_divide(steps + UNITS // 2, UNITS)
    cells, owner = np.unique(home, axis=0, return_inverse=True)
    things = [Thing(cell) for cell in cells]
    within = steps - UNITS * home
    planes = within[np.arange(len(steps)), facing // 2]
    keys, group = np.unique(
        np.stack([owner.reshape(-1), facing, planes], 1), axis=0, return_inverse=True
    )
    for number, (index, side, plane) in enumerate(keys.tolist()):
        rows = group.reshape(-1) == number
        if rows.sum() >= FEWEST:
            spots, colours = within[rows][:, _inplane(side)], colour[rows].astype(np.int64)
            things[index].sides[side, plane] = (spots, colours)
    return [thing for thing in things if thing.sides]


@dataclass(frozen=True)
class Shape:
    """What all copies of a thing together show: where its squares are and which colours they
    share."""

    copies: list[Thing]

    def painted(self, thing: Thing) -> dict[Side, tuple[Ints, Ints]]:
        """All sides of a copy: what was filmed of it; else what all copies share; else its own
        colour, from this side or another."""
        sides = {}
        for side, spots in self.spots.items():
            colours = np.where(
                self.shared[side][:, None], self.common[side], self._own(thing, side)
            )
            if side in thing.sides:
                found, near = _nearest(spots, *thing.sides[side])
                colours = np.where(near[:, None], found, colours)
            sides[side] = (spots, np.clip(colours, 0, 255).astype(np.int64))
        return sides

    @cached_property
    def spots(self) -> dict[Side, Ints]:
        """Squares (N,2) of every side: the rectangle that the copies show."""
        seen: dict[Side, list[Ints]] = {}
        for thing in self.copies:
            for side, (spots, _) in thing.sides.items():
                seen.setdefault(side, []).append(spots)
        sides = [side for side in sorted(seen) if len(seen[side]) >= SUPPORT * len(self.copies)]
        return {side: _rectangle(side, seen[side], sides) for side in sides}

    @cached_property
    def _looks(self) -> dict[Side, Floats]:
        """Colours (copies,N,3) of every side; NaN where a copy was not filmed."""
        looks = {}
        for side, spots in self.spots.items():
            filmed = [_nearest(spots, *one.sides[side]) for one in self.copies if side in one.sides]
            looks[side] = np.stack([np.where(near[:, None], rgb, np.nan) for rgb, near in filmed])
        return looks

    @cached_property
    def common(self) -> dict[Side, Floats]:
        """Median colours (N,3) over the copies; 0 where none was filmed."""
        filmed = {side: np.isfinite(looks).any(0) for side, looks in self._looks.items()}
        return {
            side: np.nanmedian(np.where(filmed[side], looks, 0.0), axis=0)
            for side, looks in self._looks.items()
        }

    @cached_property
    def shared(self) -> dict[Side, Mask]:
        """Squares (N,) on which the copies agree: the colours are the shape's, not a thing's."""
        agree = {}
        for side, looks in self._looks.items():
            filmed: Mask = np.asarray(np.isfinite(looks).any((0, 2)))
            spread = np.nanstd(np.where(filmed[:, None], looks, 0.0), axis=0).max(1)
            agree[side] = filmed & (spread < PLAIN)
        return agree

    def _own(self, thing: Thing, side: Side) -> Floats:
        """The colour (3,) that tells this thing from its copies, as light falls on this side."""
        for other in sorted(
            self.spots, key=lambda one: (one != side, abs(abs(one[1]) - abs(side[1])))
        ):
            tone = self._tone(thing, other)
            if tone is not None:
                pairs = [(self._tone(copy, side), self._tone(copy, other)) for copy in self.copies]
                both = [(a, b) for a, b in pairs if a is not None and b is not None]
                light = [a.mean() / max(b.mean(), 1.0) for a, b in both]
                return tone * float(np.median(light or [1.0]))
        return np.asarray(np.median(self.common[side], 0), np.float64)

    def _tone(self, thing: Thing, side: Side) -> Floats | None:
        """The colour (3,) of a thing's side where copies differ; None where nobody filmed it."""
        free = self.spots[side][~self.shared[side]]
        if side not in thing.sides or not len(free):
            return None
        found, near = _nearest(free, *thing.sides[side])
        return np.median(found[near], 0).astype(np.float64) if near.any() else None


def _inplane(facing: int) -> list[int]:
    return [axis for axis in range(3) if axis != facing // 2]


def _rectangle(side: Side, seen: list[Ints], sides: list[Side]) -> Ints:
    """Middles (N,2) of the squares of a side that fill what its copies show, up to where other
    sides begin or to the ground."""
    spots, counts = np.unique(np.concatenate(seen), axis=0, return_counts=True)
    spots = spots[counts >= SUPPORT * len(seen)]
    ends = np.stack([spots.min(0) - SQUARE // 2, spots.max(0) + SQUARE // 2])
    rows = []
    for axis, (low, high) in zip(_inplane(side[0]), ends.T.tolist(), strict=True):
        planes = [plane for facing, plane in sides if facing // 2 == axis] + [-UNITS // 2]
        low, high = _snapped(low, planes), _snapped(high, planes)
        count = max(1, -(-(high - low) // SQUARE))
        middles = low + (np.arange(count) + 0.5) * (high - low) / count
        rows.append(np.round(middles).astype(np.int64))
    return np.stack(np.meshgrid(*rows, indexing="ij"), -1).reshape(-1, 2)


def _snapped(end: int, planes: list[int]) -> int:
    near = min(planes, key=lambda plane: abs(plane - end))
    return near if abs(near - end) <= SNAP else end


def _nearest(spots: Ints, there: Ints, colours: Ints) -> tuple[Ints, Mask]:
    """Colours (N,3) of the squares nearest to spots, and whether they are near enough."""
    apart = np.abs(spots[:, None] - there[None]).sum(-1)
    return colours[apart.argmin(1)], apart.min(1) <= SQUARE


def _placed(thing: Thing, side: Side, spots: Ints, colours: Ints) -> tuple[Ints, Ints, Ints]:
    """Places (N,3), facings (N,) and colours (N,3) of a side's squares."""
    facing, plane = side
    steps = np.empty((len(spots), 3), np.int64)
    steps[:, facing // 2], steps[:, _inplane(facing)] = plane, spots
    return steps + UNITS * thing.cell, np.full(len(spots), facing), colours
