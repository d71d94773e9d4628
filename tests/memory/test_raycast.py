"""Laws of ray casting: the first solid cell, whatever is skipped; free_space that hold."""

import torch

from nfd_gym.memory import Edit
from nfd_gym.memory.raycast import (
    Hits,
    _cast_batched,
    cast,
    free_space,
    with_solid,
    without_solid,
)


def scattered(seed: int = 0) -> torch.Tensor:
    """A grid (12,10,14) with a tenth of its cells solid."""
    return torch.rand(12, 10, 14, generator=torch.Generator().manual_seed(seed)) < 0.1


LOW = torch.tensor([-6, -5, -7])


def boxes(space: torch.Tensor) -> torch.Tensor:
    """How far the free box of every cell reaches, (X*Y*Z,3)."""
    r, s = (space & 15).flatten(), (space >> 4).flatten()
    return torch.stack([r, s, r], dim=1).long()


def test_free_boxes_hold_nothing_solid() -> None:
    solid = scattered() & (torch.rand(12, 10, 14, generator=torch.Generator().manual_seed(2)) < 0.3)
    space = free_space(solid)
    cells, there = torch.nonzero(torch.ones_like(solid)), solid.nonzero()
    away = (cells[:, None] - there[None]).abs()
    assert not bool((away < boxes(space)[:, None]).all(-1).any())
    assert torch.equal(space == 0, solid)
    assert int((space & 15).max()) > 3


def test_rays_end_where_a_walk_in_small_steps_ends() -> None:
    solid, eye = scattered(), torch.tensor([0.3, 0.2, -0.4])
    solid[6, 5, 7] = False  # the eye's own cell
    rays = torch.randn(400, 3, generator=torch.Generator().manual_seed(1))
    hits = cast(free_space(solid), LOW, eye, rays)
    lengths = torch.arange(0.0, 14.0, 0.002)
    unit = rays / rays.norm(dim=1, keepdim=True)
    points = eye + lengths[None, :, None] * unit[:, None]
    cells = torch.round(points).long() - LOW
    inside = ((cells >= 0) & (cells < torch.tensor(solid.shape))).all(-1)
    x, y, z = cells.clamp_min(0).minimum(torch.tensor(solid.shape) - 1).unbind(-1)
    full = solid[x, y, z] & inside
    first = torch.where(full.any(1), lengths[full.float().argmax(1)], torch.inf)
    reached = hits.depth * rays.norm(dim=1)
    apart = reached.isfinite() != first.isfinite()
    assert apart.float().mean() < 0.01  # a corner between two steps
    both = reached.isfinite() & first.isfinite()
    assert ((reached - first)[both].abs() < 0.005).float().mean() > 0.98


def test_the_side_that_is_hit_faces_the_eye() -> None:
    solid = torch.zeros(9, 9, 9, dtype=torch.bool)
    solid[4, 4, 7] = True
    hits = cast(free_space(solid), torch.tensor([0, 0, 0]), torch.tensor([4.0, 4.0, 1.0]),
                torch.tensor([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))  # fmt: skip
    assert hits.facing[0] == 4 and hits.depth[0] == 5.5
    assert hits.cell.tolist() == [(4 * 9 + 4) * 9 + 7, -1]


def test_edits_keep_rays_right() -> None:
    solid = scattered(3)
    space = free_space(solid)
    random = torch.Generator().manual_seed(5)
    for _ in range(12):
        place = torch.tensor([int(torch.randint(n, (), generator=random)) for n in solid.shape])
        solid = solid.clone()
        new = not bool(solid[tuple(place.tolist())])
        solid[tuple(place.tolist())] = new
        space = (with_solid if new else without_solid)(space, place)
        away = (torch.nonzero(torch.ones_like(solid))[:, None] - solid.nonzero()[None]).abs()
        assert not bool((away < boxes(space)[:, None]).all(-1).any())  # never too far a jump
        assert torch.equal(space == 0, solid)
        rays = torch.randn(50, 3, generator=random)
        ours = cast(space, LOW, torch.tensor([0.1, 0.2, 0.3]), rays)
        exact = cast(free_space(solid), LOW, torch.tensor([0.1, 0.2, 0.3]), rays)
        assert torch.equal(ours.cell, exact.cell) and torch.equal(ours.facing, exact.facing)


def test_the_compiled_loop_and_plain_torch_agree() -> None:
    solid, eye = scattered(7), torch.tensor([0.2, 0.3, -0.1])
    space, rays = (
        free_space(solid),
        torch.randn(3000, 3, generator=torch.Generator().manual_seed(4)),
    )
    for begin in (None, torch.rand(3000) * 2):
        ours = cast(space, LOW, eye, rays, begin)
        blank = Hits(
            torch.full((3000,), torch.inf), torch.full((3000,), -1), torch.zeros(3000).long()
        )
        plain = _cast_batched(space, LOW, eye, rays, begin, blank)
        same = (ours.cell == plain.cell) & (ours.facing == plain.facing)
        assert same.float().mean() > 0.998  # rounding at the corners of cells
        assert torch.allclose(ours.depth[same], plain.depth[same], atol=1e-4)


def test_the_compiled_picture_and_plain_torch_agree() -> None:
    from nfd_gym.memory import render
    from tests.memory.room import SIZE, filmed, pose_at, seen_from

    memory = filmed()
    state = memory.edit(
        memory.empty(1), Edit(torch.tensor([2]), torch.tensor([[1, 2, 1]]))
    )  # a placed block: faces that differ from the atlas's
    scene = memory._scene(state, 0)
    for yaw, pitch in ((20.0, 5.0), (200.0, 40.0), (110.0, -60.0)):
        pose = seen_from(pose_at(0.7, -0.6, yaw, pitch))[2][0]
        ours = render.render(scene, pose, *SIZE, 72.0)
        plain = render._render_batched(scene, pose, *SIZE, 72.0)
        apart = (ours.colour - plain.colour).abs().amax(-1)
        assert (apart < 0.1).float().mean() > 0.99  # rounding at the borders of texels
        assert ((ours.sharp - plain.sharp).abs() < 1e-6).float().mean() > 0.99
        assert torch.allclose(ours.depth, plain.depth, rtol=1e-4)
        assert ours.colour.std() > 10
