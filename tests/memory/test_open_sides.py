"""Sides that nobody filmed: those with air before them come from blocks alike, no others come."""

import numpy as np
import torch

from nfd_gym.memory.atlas import Atlas, Faces
from nfd_gym.memory.edits import laid_bare
from nfd_gym.memory.open_sides import FLAT, LOOKS, Air, completed
from nfd_gym.memory.templates import no_templates

RANDOM = np.random.default_rng(0)
LEAF, STONE = RANDOM.integers(60, 200, (2, 6, 16, 16, 3)).astype(np.uint8)
NONE = np.zeros((0, 3))
TOP, UNDER, WEST = 3, 2, 0


def faces(*sides: tuple[tuple[int, int, int], np.ndarray, tuple[int, ...]]) -> Faces:
    """Faces of blocks: cell, textures of its kind, the facings that were filmed."""
    rows = [(cell, facing, kind[facing]) for cell, kind, filmed in sides for facing in filmed]
    cells, facings, texels = zip(*rows, strict=True)
    return Faces(
        np.array(cells, np.int16), np.array(facings, np.uint8), np.zeros(len(rows), np.uint8),
        np.stack(texels), NONE.astype(np.int16), np.zeros(0, np.uint8), NONE.astype(np.uint8),
    )  # fmt: skip


def air(*cells: tuple[int, int, int]) -> Air:
    known = Air((-8, -8, -8), (8, 8, 8), 72.0)
    for cell in cells:
        known.looks[tuple(np.array(cell) + 8)] = LOOKS
    return known


def test_a_side_with_air_before_it_is_that_of_the_block_most_like_its_own() -> None:
    filmed = faces(
        ((0, 3, 0), LEAF, (WEST,)), ((4, 3, 0), LEAF, (WEST, UNDER)),
        ((6, 3, 0), STONE, (WEST, UNDER)),
    )  # fmt: skip
    done = completed(filmed, air((0, 2, 0)))
    assert len(done.cell) == len(filmed.cell) + 1
    assert done.cell[-1].tolist() == [0, 3, 0] and done.facing[-1] == UNDER and done.level[-1] == 0
    assert np.array_equal(done.texels[-1], LEAF[UNDER])
    assert all(np.array_equal(a[: len(b)], b) for a, b in zip(done[:4], filmed[:4], strict=True))


def test_a_side_like_none_has_the_colour_of_its_block() -> None:
    done = completed(faces(((0, 3, 0), LEAF, (WEST,))), air((0, 2, 0)))
    assert done.level[-1] == FLAT and np.ptp(done.texels[-1].reshape(-1, 3), axis=0).max() == 0
    assert np.abs(done.texels[-1, 0, 0] - LEAF[WEST].mean((0, 1))).max() <= 1


def test_no_side_comes_without_air_or_where_a_block_stands() -> None:
    filmed = faces(((0, 3, 0), LEAF, (WEST,)), ((0, 2, 0), STONE, (WEST,)))
    assert len(completed(filmed, air()).cell) == 2
    assert len(completed(filmed, air((0, 2, 0))).cell) == 2


def test_looks_go_as_far_as_the_picture_shows_and_edited_cells_say_nothing() -> None:
    near = np.full((112, 192), 1 / 3.5, np.float32)  # a wall ahead, along +z, at the side of cell 4
    pose = np.array([0.0, 0.0, 0.0, 0.0, 0.0], np.float32)
    whole, spared = air(), air()
    whole.add(near, pose, NONE.astype(np.int64))
    spared.add(near, pose, np.array([[0, 0, 2]]))
    ahead = np.array([[0, 0, z] for z in range(1, 8)])
    assert whole.there(ahead).tolist() == [True] * 3 + [False] * 4
    assert spared.there(ahead).tolist() == [True, False, True] + [False] * 4
    assert not whole.there(np.array([[0, 0, -2], [99, 0, 0]])).any()


def test_digging_beside_a_block_of_which_a_side_is_known_shows_the_side_of_one_alike() -> None:
    filmed = faces(
        ((0, 3, 0), LEAF, (WEST, TOP)), ((1, 3, 0), LEAF, (TOP,)),
        ((4, 3, 0), LEAF, (WEST, TOP)), ((6, 3, 0), STONE, (WEST, TOP)),
    )  # fmt: skip
    atlas, cell = Atlas(filmed), torch.tensor([0, 3, 0])
    keys = torch.full((4,), -1)
    bare = {
        (tuple(block.tolist()), facing): row
        for block, facing, row in laid_bare(atlas, no_templates(), 99, cell, keys)
    }
    assert np.array_equal(filmed.texels[bare[(1, 3, 0), WEST]], LEAF[WEST])
    assert bare[(0, 2, 0), TOP] == -1  # of what lies below nothing is known
