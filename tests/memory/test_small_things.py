"""Small things completed from their copies: whole shapes, own colours, nothing else touched."""

import numpy as np
import pytest

from nfd_gym.memory.small_things import SQUARE, UNITS, completed

HALF = 6  # of the head's edge, in steps
SIDES = {(0, -HALF), (1, HALF), (3, HALF), (4, -HALF), (5, HALF)}
GREEN = (60, 140, 60)
LIGHT = {0: 0.8, 1: 0.8, 3: 1.2, 4: 1.0, 5: 1.0}


def box(cell: tuple[int, int, int], colour: tuple[int, int, int], sides=SIDES, rows=None):
    """Squares of a box 12 steps wide; its lowest row is green on every box. `rows` are those of
    each side that were filmed."""
    places, facings, colours = [], [], []
    for facing, plane in sorted(sides):
        axes = [axis for axis in range(3) if axis != facing // 2]
        spots = [(a, b) for a in range(-5, 6, SQUARE) for b in range(-5, 6, SQUARE)]
        for spot in spots if rows is None else spots[rows]:
            at = np.zeros(3, int)
            at[facing // 2], at[axes] = plane, spot
            green = facing != 3 and at[1] == -5
            shade = np.array(GREEN if green else colour) * LIGHT[facing]
            places.append(at + UNITS * np.array(cell)), facings.append(facing)
            colours.append(shade.round())
    return np.array(places, np.int16), np.array(facings, np.uint8), np.array(colours, np.uint8)


def joined(*boxes):
    return tuple(np.concatenate(parts) for parts in zip(*boxes, strict=True))


def rows(squares) -> set[tuple[int, ...]]:
    place, facing, colour = squares
    whole = np.concatenate([place, facing[:, None], colour], 1).tolist()
    return {tuple(row) for row in whole}


RED, WHITE = (160, 40, 50), (200, 190, 180)
WHOLE = joined(box((0, 0, 0), RED), box((3, 0, 0), WHITE), box((0, 1, 5), RED))


def test_whole_things_stay_as_they_are():
    assert rows(completed(*WHOLE)) == rows(WHOLE)


@pytest.mark.parametrize("lost", sorted(SIDES))
def test_a_side_that_nobody_filmed_comes_from_the_copies_in_the_things_own_colour(lost):
    partly = joined(WHOLE, box((7, 0, 7), WHITE, SIDES - {lost}))
    place, facing, colour = completed(*partly)
    wanted = joined(WHOLE, box((7, 0, 7), WHITE))
    assert rows((place, facing, colour * 0)) == rows((*wanted[:2], wanted[2] * 0))
    new = {row[:4]: row[4:] for row in rows((place, facing, colour))}
    true = {row[:4]: row[4:] for row in rows(wanted)}
    off = [np.abs(np.subtract(new[key], true[key])).max() for key in true]
    assert max(off) <= 12 and np.mean(np.array(off) > 0) < 0.1


def test_half_a_side_is_filled_and_the_filmed_half_kept():
    partly = joined(WHOLE, box((7, 0, 7), RED, rows=slice(0, 18)))
    got = completed(*partly)
    assert rows(got) == rows(joined(WHOLE, box((7, 0, 7), RED)))


def test_a_thing_without_copies_and_no_things_at_all_stay_as_they_are():
    lonely = box((0, 0, 0), RED, {(0, -HALF), (3, HALF)})
    assert rows(completed(*lonely)) == rows(lonely)
    nothing = tuple(part[:0] for part in lonely)
    assert [len(part) for part in completed(*nothing)] == [0, 0, 0]


def test_another_shape_is_no_copy():
    post = joined(*(box((9, 0, z), RED, {(0, -2), (1, 2)}) for z in (0, 2)))
    assert rows(completed(*joined(WHOLE, post))) == rows(joined(WHOLE, post))
