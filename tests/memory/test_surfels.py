"""Laws of drawing surfels: no holes near by, exact depth, front sides only, nearest wins."""

import pytest
import torch

from nfd_gym.memory.picture import _close_pinholes_batched, close_pinholes
from nfd_gym.memory.surfels import ANY, Surfels, _draw_batched, draw

AHEAD = torch.zeros(5)  # at the origin, looking along +z


def wall(
    distance: float, cell: float, half: float, colour: tuple[int, int, int], facing: int = 4
) -> Surfels:
    """Squares in the plane z = distance."""
    side = torch.arange(-half, half, cell) + cell / 2
    x, y = torch.meshgrid(side, side, indexing="ij")
    count = x.numel()
    position = torch.stack([x.flatten(), y.flatten(), torch.full((count,), distance)], dim=1)
    return Surfels(
        position, torch.full((count,), facing, dtype=torch.uint8), torch.full((count,), cell),
        torch.tensor(colour, dtype=torch.uint8).expand(count, 3),
    )  # fmt: skip


def both(a: Surfels, b: Surfels) -> Surfels:
    return Surfels(*(torch.cat(pair) for pair in zip(a, b, strict=True)))


def test_a_near_wall_has_no_holes_and_exact_depth():
    drawn = draw(wall(1.0, 1 / 16, 3.0, (200, 100, 50)), AHEAD, 28, 48, 72.0)
    assert (drawn.owner >= 0).all()
    assert torch.allclose(drawn.depth, torch.ones(28, 48), atol=1e-4)
    assert torch.allclose(
        drawn.colour, torch.tensor([200.0, 100.0, 50.0]).expand(28, 48, 3), atol=0.1
    )
    assert (drawn.width > 1.0).all()  # coarser than the picture


def test_a_slanted_view_of_the_wall_keeps_the_ray_plane_depth():
    pose = torch.tensor([0.0, 0.0, 0.0, 30.0, 0.0])
    drawn = draw(wall(2.0, 1 / 4, 12.0, (9, 9, 9)), pose, 28, 48, 72.0)
    seen = drawn.owner >= 0
    from nfd_gym.memory.geometry import pixel_rays

    rays = pixel_rays(pose[None], 28, 48, 72.0)[0]
    wide = seen & (drawn.width > 1.5)
    assert wide.float().mean() > 0.3
    assert torch.allclose((drawn.depth * rays[..., 2])[wide], torch.tensor(2.0), atol=1e-3)


def test_the_back_of_a_wall_is_not_drawn_by_large_squares_facing_away():
    front = draw(wall(2.0, 0.25, 3.0, (1, 2, 3), facing=ANY), AHEAD, 28, 48, 72.0)
    assert (front.owner >= 0).all()


def test_the_nearer_of_two_walls_hides_the_other():
    near, far = wall(1.0, 1 / 8, 1.0, (255, 0, 0)), wall(3.0, 1 / 8, 6.0, (0, 255, 0))
    for order in (both(near, far), both(far, near)):
        drawn = draw(order, AHEAD, 28, 48, 72.0)
        assert float(drawn.colour[14, 24, 0]) == 255.0 and float(drawn.colour[0, 0, 1]) == 255.0
        assert (drawn.depth[14, 24] - 1.0).abs() < 1e-4 and (drawn.depth[0, 0] - 3.0).abs() < 1e-4


def test_removed_squares_are_not_drawn():
    gone = wall(1.0, 1 / 8, 1.0, (255, 0, 0))
    gone = gone._replace(size=torch.zeros_like(gone.size))
    assert (draw(gone, AHEAD, 28, 48, 72.0).owner < 0).all()


def test_of_equal_depths_the_finer_square_counts():
    coarse, fine = wall(2.0, 0.5, 2.0, (0, 0, 255)), wall(2.0, 1 / 16, 2.0, (255, 255, 0))
    drawn = draw(both(coarse, fine), AHEAD, 28, 48, 72.0)
    assert float(drawn.width[14, 24]) < 2.0
    assert float(drawn.colour[14, 24, 0]) > 230.0


def scattered(count: int) -> Surfels:
    """Squares of all sizes and facings around the origin."""
    random = torch.Generator().manual_seed(3)
    return Surfels(
        torch.randn(count, 3, generator=random) * 4,
        torch.randint(0, 7, (count,), generator=random).to(torch.uint8),
        2.0 ** torch.randint(-5, 1, (count,), generator=random).float(),
        torch.randint(0, 256, (count, 3), generator=random).to(torch.uint8),
    )


@pytest.mark.parametrize("yaw", [0.0, 130.0])
def test_the_compiled_squares_and_plain_torch_agree(yaw):
    pose = torch.tensor([0.1, 0.2, 0.3, yaw, 12.0])
    ours = draw(scattered(3000), pose, 56, 96, 72.0)
    plain = _draw_batched(scattered(3000), pose, 56, 96, 72.0)
    same = ours.owner == plain.owner
    assert same.float().mean() > 0.995  # rounding at the borders of squares
    assert (ours.owner >= 0).float().mean() > 0.5
    assert torch.allclose(ours.depth[same], plain.depth[same], rtol=1e-4)
    assert torch.allclose(ours.width[same], plain.width[same], rtol=1e-3)
    apart = (ours.colour - plain.colour)[same].abs().amax(-1)
    assert (apart < 0.5).float().mean() > 0.99


def test_pinholes_are_closed_alike_by_the_compiled_loop_and_plain_torch():
    drawn = draw(scattered(3000), torch.tensor([0.1, 0.2, 0.3, 40.0, 12.0]), 56, 96, 72.0)
    given = drawn.colour.permute(2, 0, 1), drawn.depth, drawn.width
    before = [part.clone() for part in given]
    ours, plain = close_pinholes(*given), _close_pinholes_batched(*given)
    assert (ours[1] != given[1]).sum() > 10
    for a, b in zip(ours, plain, strict=True):
        assert torch.allclose(a, b, rtol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
