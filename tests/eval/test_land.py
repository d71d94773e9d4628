"""New land is what comes into view for the first time."""

import numpy as np

from nfd_gym.eval.land import unveiled


def test_a_step_onto_new_ground_unveils_one_edge_and_the_way_back_none() -> None:
    right, down = [(10 + i, 10) for i in range(4)], [(13, 11), (13, 12)]
    back = [(13, 11), (13, 10), (12, 10), (11, 10)]
    found = unveiled(np.array([*right, right[-1], *down, *back]))
    assert [row for row, _ in found] == [1, 2, 3, 5, 6]
    for row, new in found:
        edge = np.zeros((9, 7), bool)
        edge[(slice(None), -1) if row > 3 else (-1, slice(None))] = True
        assert np.array_equal(new, edge)
