"""Laws of contact: never inside a block, steps lift, walls stop, ground holds."""

import numpy as np

from nfd_gym.model.contact import NUDGE, Box, resolve

BOX = Box()
FLOOR = {(x, 0, z) for x in range(-6, 7) for z in range(-6, 7)}  # tops at .5
EYE = 0.5 + BOX.eye


def go(solid, start, step, ticks=40):
    place = start
    for _ in range(ticks):
        wished = tuple(a + b for a, b in zip(place, step, strict=True))
        place = resolve(place, wished, solid.__contains__, BOX)
    return place


def test_a_wall_of_two_stops_and_lets_slide():
    wall = {(x, y, 3) for x in range(-6, 7) for y in (1, 2)}
    x, y, z = go(FLOOR | wall, (0.0, EYE, 0.0), (0.05, 0.0, 0.2))
    assert 2.5 - BOX.radius - 0.2 <= z <= 2.5 - BOX.radius + NUDGE
    assert abs(x - 2.0) < 1e-6 and y == EYE


def test_a_step_of_one_is_climbed_and_a_roof_over_it_is_not_entered():
    step = {(x, 1, z) for x in range(-6, 7) for z in range(3, 7)}
    _, y, z = go(FLOOR | step, (0.0, EYE, 0.0), (0.0, 0.0, 0.2), 25)
    assert z > 4 and abs(y - EYE - 1) < 0.02
    roof = {(x, 3, z) for x in range(-6, 7) for z in range(3, 7)}
    _, y, z = go(FLOOR | step | roof, (0.0, EYE, 0.0), (0.0, 0.0, 0.2), 25)
    assert z < 2.5 and y == EYE


def test_a_jump_under_a_roof_ends_at_the_roof_and_walks_on_from_there():
    roof = {(x, 3, z) for x in range(-6, 7) for z in range(-6, 7)}  # bottoms at 2.5
    _, y, z = go(FLOOR | roof, (0.0, EYE, 0.0), (0.0, 0.3, 0.1), 20)
    assert abs(y - (2.5 - BOX.top + BOX.eye)) < 1e-9 and z > 1.9
    gap = roof - {(x, 3, z) for x in range(-6, 7) for z in (2, 3, 4)}
    assert go(FLOOR | gap, (0.0, EYE, 3.0), (0.0, 0.3, 0.0), 4)[1] > EYE + 1


def test_a_fall_ends_on_the_ground_and_without_ground_on_the_floor_of_the_world():
    assert go(FLOOR, (0.0, EYE + 4, 0.0), (0.0, -0.7, 0.0))[1] == EYE
    assert go(set(), (0.0, EYE, 0.0), (0.0, -0.7, 0.0))[1] == BOX.floor + BOX.eye


def test_random_walks_never_end_inside_a_block():
    random = np.random.default_rng(0)
    blocks = {tuple(cell) for cell in random.integers([-5, 1, -5], [6, 3, 6], (40, 3)).tolist()}
    solid = (FLOOR | blocks) - {(0, y, 0) for y in (1, 2, 3)}
    place = (0.0, EYE, 0.0)
    for _ in range(600):
        step = random.uniform(-0.3, 0.3, 3) * [1, 0.3, 1]
        wished = tuple(float(a + b) for a, b in zip(place, step, strict=True))
        place = resolve(place, wished, solid.__contains__, BOX)
        x, y, z = place
        feet = y - BOX.eye
        inside = [
            c for c in solid
            if abs(c[0] - x) < 0.5 + BOX.radius - 2 * NUDGE
            and abs(c[2] - z) < 0.5 + BOX.radius - 2 * NUDGE
            and c[1] - 0.5 < feet + 1.5 and c[1] + 0.5 > feet + BOX.step
        ]  # fmt: skip
        assert not inside, (place, inside)
