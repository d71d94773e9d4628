"""A block that is not there is found by the frames that look through it; the others stay."""

import numpy as np
import pytest

from nfd_gym.memory.atlas import Atlas, Faces
from nfd_gym.memory.witness import Witness
from tests.memory.room import filmed, pose_at, seen_from

PHANTOM = (0, 2, 3)  # in the open, in front of a wall


def haunted() -> Faces:
    """The room's faces and one that was filmed by mistake."""
    faces = filmed().atlas.faces
    extra = (np.array([PHANTOM], np.int16), np.array([4], np.uint8), np.array([4], np.uint8),
             np.full((1, 16, 16, 3), 99, np.uint8))  # fmt: skip
    joined = [np.concatenate(pair) for pair in zip(faces[:4], extra, strict=True)]
    return faces._replace(**dict(zip(Faces._fields[:4], joined, strict=True)))


@pytest.mark.slow
def test_frames_that_look_through_a_block_remove_it_and_nothing_else() -> None:
    faces = haunted()
    witness = Witness(Atlas(faces), 72.0)
    for yaw in (0, 20, 180, 340):
        _, near, pose = seen_from(pose_at(0.2, -1.0, yaw, 0))
        witness.add(near[0].numpy(), pose[0].numpy())
    kept = witness.kept(faces)
    assert not (kept.cell == PHANTOM).all(1).any()
    assert len(faces.cell) - len(kept.cell) <= 3


def test_an_edited_cell_says_nothing() -> None:
    faces = haunted()
    witness = Witness(Atlas(faces), 72.0)
    _, near, pose = seen_from(pose_at(0.2, -1.0, 0, 0))
    witness.add(near[0].numpy(), pose[0].numpy(), np.array([PHANTOM]))
    assert (witness.kept(faces).cell == PHANTOM).all(1).any()
