"""Ways over the map: the shortest, never through what is closed."""

import numpy as np

from nfd_gym.games.crafter.paths import costs, deep_rock, marked, pocket, shortest
from nfd_gym.games.crafter.spec import AREA, COUNTS, NUMBER

EMPTY = dict.fromkeys(COUNTS, 0)


def board(rows):
    tiles = np.full(AREA, NUMBER["water"])
    names = {".": "grass", "#": "stone", "~": "water", "T": "tree", "!": "lava"}
    for y, row in enumerate(rows):
        for x, letter in enumerate(row):
            tiles[x, y] = NUMBER[names[letter]]
    return tiles


def test_the_way_goes_round_water_and_never_over_lava():
    tiles = board([".~T", ".~.", "...", "!!!"])
    way = shortest(costs(tiles, EMPTY), (0, 0), marked(tiles, ["tree"]))
    assert way == [(0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0)]


def test_stone_is_a_way_with_a_pickaxe_only():
    tiles = board([".#T", "~~~"])
    tree = marked(tiles, ["tree"])
    assert shortest(costs(tiles, EMPTY), (0, 0), tree) == []
    assert shortest(costs(tiles, {**EMPTY, "wood_pickaxe": 1}), (0, 0), tree) == [(1, 0), (2, 0)]


def test_digging_costs_more_than_a_step_around():
    tiles = board([".#.", "...", "~~~"])
    goal = np.zeros(AREA, bool)
    goal[2, 0] = True
    way = shortest(costs(tiles, {**EMPTY, "wood_pickaxe": 1}), (0, 0), goal)
    assert len(way) == 2  # two steps through stone: 3; around: 4
    tiles = board([".###.", "....."])
    goal = np.zeros(AREA, bool)
    goal[4, 0] = True
    way = shortest(costs(tiles, {**EMPTY, "wood_pickaxe": 1}), (0, 0), goal)
    assert len(way) == 6  # around: 6 steps; through: 7


def test_nothing_wanted_and_too_far_are_no_way():
    tiles = board(["......T"])
    tree = marked(tiles, ["tree"])
    assert shortest(costs(tiles, EMPTY), (0, 0), tree, limit=3) == []
    assert len(shortest(costs(tiles, EMPTY), (0, 0), tree, limit=6)) == 6
    assert shortest(costs(tiles, EMPTY), (0, 0), np.zeros(AREA, bool)) == []


def test_a_pocket_is_what_can_be_walked_to():
    enter = costs(board([".#...", "..#.."]), EMPTY)
    assert pocket(enter, (0, 0)) == 3 and pocket(enter, (2, 0)) == 5
    assert pocket(enter, (2, 0), closed=(3, 0)) == 1
    assert pocket(costs(board(["....", "....", "...."]), EMPTY), (0, 0)) >= 10  # enough to know


def test_deep_rock_has_rock_all_around():
    deep = deep_rock(board(["#####"] * 5))
    assert np.argwhere(deep).tolist() == [[2, 2]]
    assert not deep_rock(board(["#####", "#####", "##.##", "#####", "#####"])).any()
