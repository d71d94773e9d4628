"""Laws of the memory of points: what was filmed comes back, edits stay, nothing filmed is lost."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nfd_gym.memory import Edit
from nfd_gym.memory.atlas import Atlas, Faces, pack, unpack
from nfd_gym.memory.blocks import cube_entry, pointed_cell
from nfd_gym.memory.geometry import pixel_rays
from nfd_gym.memory.points import DUG, PointMemory
from nfd_gym.memory.templates import (
    Templates,
    no_templates,
    pack_templates,
    unpack_templates,
)
from nfd_gym.world.state import named_tensors
from tests.memory.room import SIZE, filmed, pose_at, psnr, seen_from

VIEWS = [pose_at(1.1, 0.7, 17, 5), pose_at(-2.2, 1.9, 200, -12), pose_at(0.3, -3.1, 96, 24)]


def edit(kind: int, cell: tuple[int, int, int]) -> Edit:
    return Edit(torch.tensor([kind]), torch.tensor([cell]))


def shown(memory: PointMemory, state, pose: np.ndarray):
    frame, _, at = seen_from(pose)
    return memory.read(state, frame, at)


@pytest.mark.parametrize("pose", VIEWS, ids=["near", "behind", "down"])
def test_read_shows_the_filmed_room_from_a_new_place(pose):
    frame, near, at = seen_from(pose)
    view = filmed().read(filmed().empty(1), frame, at)
    assert (view.sharp > 0).float().mean() > 0.99
    assert psnr(view.colour, frame) > 24
    error = (view.nearness[:, 0] - near).abs() / near
    assert float(error.median()) < 0.01


def test_pack_inverts_and_is_small():
    faces, sky = filmed().atlas.faces, filmed().sky.numpy()
    packed = pack(faces, sky)
    again, sky_again = unpack(packed)
    assert all(np.array_equal(a, b) for a, b in zip(faces, again, strict=True))
    assert np.array_equal(sky, sky_again)
    assert len(packed) < faces.texels.nbytes


def test_looking_and_walking_changes_nothing_that_was_filmed():
    memory, random = filmed(), np.random.default_rng(0)
    state = memory.empty(1)
    before = [shown(memory, state, pose).colour for pose in VIEWS]
    for _ in range(40):  # pictures that contradict everything are written wherever it is allowed
        pose = pose_at(*random.uniform(-3, 3, 2), random.uniform(0, 360), random.uniform(-40, 40))
        frame, near, at = seen_from(pose)
        view = memory.read(state, frame, at)
        state = memory.write(state, view, 255 - frame, near * 4, at)
    known = [shown(memory, memory.empty(1), pose).sharp > 0 for pose in VIEWS]
    faces = memory.atlas.faces
    assert faces is filmed().atlas.faces
    for pose, old, mask in zip(VIEWS, before, known, strict=True):
        clean = memory.read(state._replace(painted=memory.empty(1).painted), *seen_from(pose)[::2])
        assert torch.equal(
            clean.colour[mask.expand(-1, 3, -1, -1)], old[mask.expand(-1, 3, -1, -1)]
        )


def test_a_dug_block_loses_its_faces_and_stays_dug():
    memory = filmed()
    pose = pose_at(0.0, 0.0, 0, 20)
    frame, near, at = seen_from(pose)
    distance, inner, _ = pointed_cell(near, at)
    assert float(distance) < 6
    state = memory.edit(memory.empty(1), Edit(torch.tensor([DUG]), inner))
    view = memory.read(state, frame, at)
    middle = (SIZE[0] // 2, SIZE[1] // 2)
    assert view.edited[0, 0][middle] == 1 and view.open[0, 0][middle] == 1
    later = memory.read(memory.edit(state, None), frame, at)
    assert later.edited.sum() == 0  # the mask is of its tick only
    assert later.sharp[0, 0][middle] == 0  # but the faces stay away
    assert not bool(memory.solid(state, inner[:, None])[0, 0])


def test_a_placed_block_is_painted_where_it_was_seen_and_unknown_elsewhere():
    memory = filmed()
    cell = torch.tensor([[0, 1, 3]])
    front = pose_at(-0.5, -2.0, 0, 0)
    frame, _, at = seen_from(front)
    state = memory.edit(memory.empty(1), Edit(torch.tensor([DUG + 1]), cell))
    view = memory.read(state, frame, at)
    block = view.edited[0, 1] > 0
    assert block.any()
    painted = frame.clone()
    painted[0][block] = torch.tensor([255, 0, 0], dtype=torch.uint8)
    state = memory.write(state, view, painted, view.nearness[:, 0], at)
    state = memory.edit(state, None)
    side = pose_at(3.5, 2.5, 90, 0)
    _, _, beside = seen_from(side)
    again = memory.read(state, frame, at)
    red = (again.colour[0, 0] > 0.8) & (again.colour[0, 1] < -0.8)
    assert (red & block).sum() > 0.9 * block.sum()
    rays = pixel_rays(beside, *SIZE, 72.0)[0]
    shape = cube_entry(rays, beside[0], cell[0]).isfinite()
    seen = memory.read(state, frame, beside)  # the unseen side hides what is behind it
    assert shape.sum() > 20 and (seen.sharp[0, 0][shape] == 0).float().mean() > 0.8
    assert bool(memory.solid(state, cell[:, None])[0, 0])


def test_a_batch_reads_as_its_environments_do():
    memory = filmed()
    states = [
        memory.edit(memory.empty(1), edit(DUG, (6, 1, 0))),
        memory.empty(1),
        memory.edit(memory.empty(1), edit(DUG + 2, (1, 1, 1))),
    ]
    from nfd_gym.world.state import tree_map

    joined = tree_map(lambda *parts: torch.cat(parts), *states)
    frames, _, poses = (
        torch.cat(x) for x in zip(*(seen_from(pose) for pose in VIEWS), strict=True)
    )
    together = memory.read(joined, frames, poses)
    for env, state in enumerate(states):
        alone = memory.read(state, frames[env : env + 1], poses[env : env + 1])
        for a, b in zip(together[:-1], alone[:-1], strict=True):
            assert torch.equal(a[env : env + 1], b)


def test_edits_and_painted_points_are_bounded():
    memory = PointMemory(*SIZE, 72.0, filmed().atlas, filmed().sky, painted=64, most_faces=8)
    state = memory.empty(1)
    for number in range(5):
        state = memory.edit(state, edit(DUG, (number, 0, 0)))
    assert state.keys.shape == (1, 8)
    sizes = [tensor.shape for _, tensor in named_tensors(state)]
    frame, near, at = seen_from(VIEWS[0])
    view = memory.read(state, frame, at)._replace(open=torch.ones(1, 1, *SIZE))
    state = memory.write(state, view, frame, near, at)
    assert [tensor.shape for _, tensor in named_tensors(state)] == sizes


def test_verbs_do_not_change_their_arguments():
    memory = filmed()
    state = memory.empty(1)
    copies = [tensor.clone() for _, tensor in named_tensors(state)]
    frame, near, at = seen_from(VIEWS[0])
    dug = memory.edit(state, edit(DUG, (6, 1, 0)))
    memory.write(dug, memory.read(dug, frame, at), frame, near, at)
    assert all(torch.equal(a, b) for a, (_, b) in zip(copies, named_tensors(state), strict=True))


def test_without_an_atlas_the_given_frame_is_remembered():
    nothing = Faces(*(field[:0] for field in filmed().atlas.faces))
    memory = PointMemory(*SIZE, 72.0, Atlas(nothing), torch.zeros_like(filmed().sky), painted=16384)
    frame, near, at = seen_from(VIEWS[0])
    state = memory.start(frame[:, None], near[:, None], at[:, None])
    view = memory.read(state, frame, at)
    assert (view.sharp > 0).float().mean() > 0.97
    assert psnr(view.colour, frame) > 24


def test_a_memory_of_commanded_edits_alone_takes_pictures_in_once_its_atlas_is_gone():
    """What ships keeps no paint and has room for none; without an atlas it needs both."""
    memory = replace(filmed(), painted=1, keeps_paint=False).without_atlas()
    frame, near, at = seen_from(VIEWS[0])
    view = memory.read(memory.start(frame[:, None], near[:, None], at[:, None]), frame, at)
    assert (view.sharp > 0).float().mean() > 0.97
    assert psnr(view.colour, frame) > 24


def test_where_nothing_was_filmed_the_ground_goes_on_under_the_feet():
    memory = replace(filmed(), painted=64).without_atlas()
    frame, near, at = seen_from(VIEWS[0])
    at[0, 1] = 3 + 0.5 + 1.625  # feet upon the cells of height 3
    state = memory.start(frame[:, None], near[:, None], at[:, None])
    here = torch.round(at[:, :3]).long()
    column = here[:, None] * torch.tensor([1, 0, 1]) + torch.tensor([[0, y, 0] for y in range(6)])
    assert memory.solid(state, column)[0].tolist() == [True] * 4 + [False] * 2
    dug = memory.edit(state, Edit(torch.tensor([DUG + 1]), column[:, 5]))
    assert memory.solid(dug, column)[0].tolist() == [False] * 5 + [True]  # now a block is known
    known = filmed()  # where land was filmed nothing is supposed
    assert not known.solid(known.empty(1)._replace(floor=state.floor), column + 1000).any()


def with_templates() -> PointMemory:
    """The room with brick-red blocks, and brown wherever something is laid bare."""
    red, brown = (np.full((16, 16, 3), rgb, np.uint8) for rgb in ((200, 40, 30), (120, 80, 40)))
    templates = Templates(
        np.stack([np.stack([red] * 6)]), np.array([[0, 0, 0]], np.int16),
        np.array([2], np.uint8), brown[None],
    )  # fmt: skip
    return replace(filmed(), templates=templates)


def test_a_placed_block_shows_its_template_from_every_side_and_can_be_dug_again():
    memory, cell = with_templates(), (0, 2, 3)
    state = memory.edit(memory.empty(1), edit(DUG + 1, cell))
    sides = [pose_at(-0.5, -1.0, 0, -8), pose_at(3.0, 2.5, 90, -8), pose_at(-4.0, 2.5, 270, -8)]
    for pose in sides:
        view = shown(memory, state, pose)
        red = (view.colour[0, 0] > 0.4) & (view.colour[0, 1] < -0.5)
        assert red.sum() > 60 and view.edited.sum() == 0
        assert (view.sharp[0, 0][red] > 0).all()
    gone = memory.edit(state, edit(DUG, cell))
    for pose in sides:
        colour = shown(memory, gone, pose).colour[0]
        assert ((colour[0] > 0.4) & (colour[1] < -0.5)).sum() == 0


def test_digging_lays_solid_neighbours_bare_and_neighbours_in_the_open_not():
    memory = with_templates()
    pose = pose_at(0.2, 0.0, 0, 40)
    seen = memory.pointed(memory.empty(1), seen_from(pose)[2])
    assert float(seen.distance) < 5
    state = memory.edit(memory.empty(1), Edit(torch.tensor([DUG]), seen.inner))
    new = state.keys[0][state.keys[0] >= 0] % 6
    # four sides and the ground of the pit, not the air above it
    assert sorted(new.tolist()) == [0, 1, 3, 4, 5]
    middle = shown(memory, memory.edit(state, None), pose).colour[0, :, SIZE[0] // 2, SIZE[1] // 2]
    brown = torch.tensor([120, 80, 40]) / 127.5 - 1
    assert torch.allclose(middle, brown, atol=0.05)
    ground = seen.inner - torch.tensor([[0, 1, 0]])
    assert bool(memory.solid(state, ground[:, None])[0, 0])
    deeper = memory.edit(state, Edit(torch.tensor([DUG]), ground))
    assert not bool(memory.solid(deeper, ground[:, None])[0, 0])
    assert int((deeper.keys[0] >= 0).sum()) == 4 + 5  # the first ground went with it


def test_the_middle_of_the_view_points_at_the_same_block_as_its_depth():
    memory = filmed()
    for pose in (pose_at(0.3, 0.1, 10, 40), pose_at(-2.0, 1.0, 100, 5), pose_at(1.0, 2.0, 251, -3)):
        _, near, at = seen_from(pose)
        distance, inner, outer = pointed_cell(near, at)
        seen = memory.pointed(memory.empty(1), at)
        assert torch.equal(seen.inner, inner) and torch.equal(seen.outer, outer)
        assert torch.allclose(seen.distance, distance, rtol=0.02)


def test_the_template_of_a_hidden_side_is_as_deep_below_the_ground():
    memory = filmed()
    tops = memory.atlas.faces.facing == 3
    cell = memory.atlas.faces.cell[tops][0].astype(np.int64)
    below = np.array([[0, 0, 0], [0, -1, 0], [0, -2, 0]])
    assert memory.atlas.below_surface(cell + below).tolist() == [0, 1, 2]
    shades = np.repeat(np.arange(3, dtype=np.uint8), 16 * 16 * 3).reshape(3, 16, 16, 3)
    templates = Templates(
        np.zeros((0, 6, 16, 16, 3), np.uint8), (cell + below).astype(np.int16),
        np.zeros(3, np.uint8), shades,
    )  # fmt: skip
    for deep in range(3):
        asked = memory.atlas.faces.cell[tops][-1].astype(np.int64) + below[deep]
        assert memory.atlas.below_surface(asked) == deep
        assert templates.of_hidden(asked, 0, memory.atlas) == deep


def test_the_template_of_a_hidden_side_lies_below_ground_of_the_same_colour():
    atlas = filmed().atlas
    red, green = [200, 60, 50], [60, 160, 60]
    tops = np.array([[0, 0, 0], [3, 0, 0], [10, 0, 0]])
    texels = np.array([red, green, green], np.uint8)[:, None, None] + np.zeros(
        (16, 16, 1), np.uint8
    )
    faces = Faces(
        tops.astype(np.int16), np.full(3, 3, np.uint8), np.zeros(3, np.uint8), texels,
        *(part[:0] for part in atlas.faces[4:]),
    )  # fmt: skip
    templates = no_templates()._replace(
        cell=(tops[[0, 2]] - [0, 1, 0]).astype(np.int16),
        facing=np.zeros(2, np.uint8),
        texels=np.zeros((2, 16, 16, 3), np.uint8),
    )
    asked = np.array([3, -1, 0])
    assert templates.of_hidden(asked, 0, Atlas(faces)) == 1
    assert np.allclose(Atlas(faces).land_colour(asked), green)
    assert np.isnan(Atlas(faces).land_colour(np.array([5, -1, 0]))).all()
    assert templates.of_hidden(asked, 0, atlas.emptied()) == 0  # nothing seen: the nearest


def test_templates_survive_their_file():
    templates = with_templates().templates
    again = unpack_templates(pack_templates(templates))
    assert all(np.array_equal(a, b) for a, b in zip(templates, again, strict=True))


def test_the_map_shows_the_floor_and_loses_a_dug_cell():
    memory = filmed()
    state, pose = memory.empty(1), torch.tensor([[0.5, 2.1, 0.5, 0.0, 0.0]])
    (before,) = memory.map(state, pose)
    floor = (before != before[0, 0]).any(-1)
    assert before.shape == (96, 96, 3) and 300 < floor.sum() < 2000
    dug = memory.edit(state, edit(DUG, (2, 0, 2)))
    (after,) = memory.map(dug, pose)
    assert ((after != before).any(-1)).sum() in range(1, 12)


def test_points_are_a_readable_cloud():
    (cloud,) = filmed().points(filmed().empty(1), torch.zeros(1, 5))
    head, body = cloud.split(b"end_header\n", 1)
    count = int(head.split(b"element vertex ")[1].split(b"\n")[0])
    rows = np.frombuffer(body, [("p", "<f4", 3), ("c", "u1", 3), ("s", "<f4")])
    assert len(rows) == count > 1000
    assert np.abs(rows["p"]).max() < 20 and (rows["s"] > 0).all()
