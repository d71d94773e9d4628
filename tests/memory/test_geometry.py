"""Laws of projection, turning and rays."""

import torch

from nfd_gym.memory.geometry import axes, focal_length, pixel_rays, project, unproject
from nfd_gym.memory.rays import WIDTH, ray_waves
from nfd_gym.model.denoiser import RAY_WIDTH
from nfd_gym.model.legs import turned_by, unturn

POSES = torch.tensor([[1.0, 2.0, 3.0, 40.0, 10.0], [-5.0, 7.0, 0.5, -170.0, -60.0]])


def test_axes_are_orthonormal_and_follow_the_convention():
    _, forward, right, up = axes(POSES)
    frame = torch.stack([forward, right, up], dim=1)
    assert torch.allclose(frame @ frame.transpose(1, 2), torch.eye(3).expand(2, 3, 3), atol=1e-6)
    _, forward, right, _ = axes(torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0]))
    assert torch.allclose(forward, torch.tensor([0.0, 0.0, 1.0]))  # yaw 0 looks along +z
    assert torch.allclose(right, torch.tensor([-1.0, 0.0, 0.0]))  # and -x is to the right
    _, down, _, _ = axes(torch.tensor([0.0, 0.0, 0.0, 0.0, 90.0]))
    assert torch.allclose(down, torch.tensor([0.0, -1.0, 0.0]), atol=1e-6)


def test_unproject_then_project_returns_pixel_centres():
    depth = torch.linspace(0.5, 40.0, 2 * 6 * 10).view(2, 6, 10)
    points = unproject(POSES, depth, 72.0)
    column, row, back = project(points.flatten(1, 2), POSES, 6, 10, 72.0)
    assert torch.allclose(
        column.view(2, 6, 10), (torch.arange(10) + 0.5).expand(2, 6, 10), atol=1e-3
    )
    assert torch.allclose(
        row.view(2, 6, 10), (torch.arange(6) + 0.5)[:, None].expand(2, 6, 10), atol=1e-3
    )
    assert torch.allclose(back.view(2, 6, 10), depth, rtol=1e-4)


def test_field_of_view_spans_the_picture():
    rays = pixel_rays(POSES[:1], 112, 192, 72.0)[0]
    _, forward, _, up = axes(POSES[0])
    top = torch.rad2deg(torch.atan2(rays[0, 0] @ up, rays[0, 0] @ forward))
    half_pixel = 0.5 / focal_length(112, 72.0)
    assert (
        abs(
            float(torch.tan(torch.deg2rad(top)))
            + half_pixel
            - float(torch.tan(torch.deg2rad(torch.tensor(36.0))))
        )
        < 1e-4
    )


def test_ray_waves_have_the_width_the_denoiser_expects():
    assert ray_waves(POSES, 7, 12, 72.0).shape == (2, 84, WIDTH)
    assert WIDTH == RAY_WIDTH


def test_quarter_turns_invert_and_turn_headings_to_the_front():
    vectors = torch.randn(4, 5, 3)
    quarters = torch.arange(4)
    assert torch.allclose(unturn(turned_by(vectors, quarters), quarters), vectors, atol=1e-6)
    _, forward, _, _ = axes(torch.tensor([[0.0, 0.0, 0.0, 90.0 * k, 0.0] for k in range(4)]))
    ahead = torch.tensor([0.0, 0.0, 1.0]).expand(4, 3)
    assert torch.allclose(turned_by(forward, quarters), ahead, atol=1e-6)


def test_slivers_are_unknown_pixels_that_no_square_of_three_covers():
    from nfd_gym.memory.picture import slivers

    unknown = torch.zeros(12, 12, dtype=torch.bool)
    unknown[2, 1:11] = True  # a line
    unknown[5:9, 4:8] = True  # a patch
    unknown[:, 11] = True  # the border: what lies beyond may be unknown too
    thin = slivers(unknown)
    assert thin[2, 1:10].all() and not thin[5:9, 4:8].any()
    assert not bool((thin & ~unknown).any())
