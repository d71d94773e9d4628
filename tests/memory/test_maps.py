"""Maps and point clouds: floors in their places, dug cells gone, the heading clockwise."""

import torch

from nfd_gym.memory import Edit
from nfd_gym.memory.maps import HERE, PIXELS, SPAN, draw_map
from nfd_gym.memory.points import DUG
from nfd_gym.memory.surfels import ANY, Surfels
from tests.memory.room import filmed, pose_at


def squares(*rows: tuple[float, float, float, int]) -> Surfels:
    """Surfels at x, y, z with facing; the colour is their number times 10."""
    place = torch.tensor(rows)
    colour = (10 * torch.arange(1, len(rows) + 1))[:, None].expand(-1, 3).to(torch.uint8)
    return Surfels(place[:, :3], place[:, 3].to(torch.uint8), torch.ones(len(rows)), colour)


def test_the_highest_surface_that_looks_up_is_drawn_in_its_place():
    points = squares((4, 1, 8, 3), (4, 3, 8, 3), (4, 9, 8, 2), (-4, 0, -8, ANY), (99, 0, 0, 3))
    picture = draw_map(points, torch.tensor([0.0, 5.0, 0.0, 90.0, 0.0]))
    scale = int(PIXELS / SPAN)
    middle = PIXELS // 2
    assert picture[middle - 8 * scale, middle - 4 * scale].tolist() == [20] * 3
    assert picture[middle + 8 * scale, middle + 4 * scale].tolist() == [40] * 3
    others = picture.view(-1, 3).any(-1).sum()
    assert int(others) == 2 + 8, "two squares and the heading"


def test_the_heading_turns_clockwise():
    empty = squares((99.0, 0.0, 0.0, 3))
    for yaw, row, column in ((0, -7, 0), (90, 0, 7), (180, 7, 0), (270, 0, -7)):
        picture = draw_map(empty, torch.tensor([0.0, 0.0, 0.0, float(yaw), 0.0]))
        spot = picture[PIXELS // 2 + row - 1 : PIXELS // 2 + row + 2]
        spot = spot[:, PIXELS // 2 + column - 1 : PIXELS // 2 + column + 2]
        assert (spot == torch.tensor(HERE, dtype=torch.uint8)).all(-1).any(), yaw


def test_dug_cells_leave_the_cloud():
    memory, pose = filmed(), torch.tensor(pose_at(0, 0, 0, 0), dtype=torch.float32)[None]
    state = memory.empty(1)
    (before,) = memory.points(state, pose)
    cell = torch.tensor(memory.atlas.faces.cell[:1]).long()
    dug = memory.edit(state, Edit(torch.tensor([DUG]), cell))
    (after,) = memory.points(dug, pose)
    assert 0 < len(before.size) - len(after.size) <= 6 * 16
    assert memory.map(state, pose).shape == (1, PIXELS, PIXELS, 3)
