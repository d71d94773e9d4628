"""Coarse faces completed from fine ones like them: the detail comes, the means stay."""

import numpy as np

from nfd_gym.memory.atlas import Faces
from nfd_gym.memory.like_faces import completed, means

RANDOM = np.random.default_rng(0)
KINDS = RANDOM.integers(0, 256, (3, 16, 16, 3)) * 0.5 + 60
NOTHING = np.zeros((0, 3))


def faces(kinds: list[int], levels: list[int], facing: int = 3, light: float = 1.0) -> Faces:
    """Faces of block kinds, filmed at levels."""
    texels = np.stack([KINDS[kind] * light for kind in kinds]).round().astype(np.uint8)
    for row, level in enumerate(levels):
        texels[row] = repeated(means(texels[row : row + 1], level), level)[0]
    count = len(kinds)
    return Faces(
        np.arange(3 * count, dtype=np.int16).reshape(count, 3), np.full(count, facing, np.uint8),
        np.array(levels, np.uint8), texels,
        NOTHING.astype(np.int16), np.zeros(0, np.uint8), NOTHING.astype(np.uint8),
    )  # fmt: skip


def repeated(colours: np.ndarray, level: int) -> np.ndarray:
    return np.repeat(np.repeat(colours, 1 << level, 1), 1 << level, 2).round().astype(np.uint8)


def test_coarse_faces_get_the_texels_of_their_kind_and_keep_their_means() -> None:
    filmed = faces([0, 1, 2, 0, 1, 2, 0], [0, 0, 0, 1, 2, 3, 4])
    done = completed(filmed)
    true = faces([0, 1, 2, 0, 1, 2, 0], [0] * 7)
    assert np.abs(done.texels.astype(int) - true.texels).max() <= 1
    assert (done.level == 0).all() and np.array_equal(done.cell, filmed.cell)
    for row, level in enumerate(filmed.level):
        one = slice(row, row + 1)
        assert np.abs(means(done.texels[one], level) - means(filmed.texels[one], level)).max() <= 1


def test_a_little_less_light_stays_less_light() -> None:
    filmed, dark = faces([0, 1, 2], [0, 0, 0]), faces([1], [2], light=0.95)
    both = Faces(*(np.concatenate(parts) for parts in zip(filmed, dark, strict=True)))
    true = KINDS[1] * 0.95
    assert np.abs(completed(both).texels[3] - true).mean() < 4
    assert np.abs(both.texels[3] - true).mean() > 20


def test_fine_faces_and_those_like_none_stay_as_they_are() -> None:
    filmed = faces([0, 0, 1], [0, 0, 2])
    assert np.array_equal(completed(filmed).texels, filmed.texels)
    assert completed(filmed).level.tolist() == [0, 0, 2]
    nothing = Faces(*(part[:0] for part in filmed))
    assert len(completed(nothing).texels) == 0


def test_sides_lend_to_their_own_facing_alone() -> None:
    top, side = faces([0, 1], [0, 0], facing=3), faces([0], [2], facing=4)
    both = Faces(*(np.concatenate(parts) for parts in zip(top, side, strict=True)))
    assert completed(both).level.tolist() == [0, 0, 2]
