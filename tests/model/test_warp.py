"""The warp against a small renderer of a distant texture, which knows nothing of homographies."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nfd_gym.model.warp import focal_length, rotation, warp

HEIGHT, WIDTH, FOV = 112, 192, 72.0
degrees = st.floats(-8, 8)
views = st.floats(-75, 75)


def render(yaw: float, pitch: float, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """(1,3,H,W) of a smooth texture at infinity: colour is a function of the direction alone."""
    y, p = math.radians(yaw), math.radians(pitch)
    forward = torch.tensor([math.sin(y) * math.cos(p), math.sin(p), math.cos(y) * math.cos(p)])
    right = torch.tensor([math.cos(y), 0.0, -math.sin(y)])
    down = torch.linalg.cross(forward, right)
    half = math.tan(math.radians(FOV) / 2)  # half the picture's height at distance 1
    v = (torch.arange(height) + 0.5) / height * 2 - 1
    u = ((torch.arange(width) + 0.5) / width * 2 - 1) * width / height
    rays = forward + half * (v[:, None, None] * down + u[None, :, None] * right)
    rays = rays / rays.norm(dim=-1, keepdim=True)
    waves = torch.tensor([[3.0, 1.0, 5.0], [-4.0, 6.0, 2.0], [5.0, -3.0, -4.0]])
    return torch.sin(rays @ waves.T + torch.tensor([0.3, 1.0, 2.0])).permute(2, 0, 1)[None]


def turned(
    pixels: Tensor, dpitch: float, dyaw: float, pitch: float, mode: str = "bicubic"
) -> Tensor:
    values = (torch.tensor([value]) for value in (dpitch, dyaw, pitch))
    return warp(pixels, *values, FOV, mode)


def inside(dpitch: float, dyaw: float, pitch: float, margin: int = 2) -> Tensor:
    """(H,W) where the old picture has the new one's content (elsewhere it is mirrored)."""
    focal = focal_length(HEIGHT, FOV)
    v = (torch.arange(HEIGHT) + 0.5 - HEIGHT / 2)[:, None].expand(HEIGHT, WIDTH)
    u = (torch.arange(WIDTH) + 0.5 - WIDTH / 2).expand(HEIGHT, WIDTH)
    rays = torch.stack([u, v, torch.full_like(u, focal)], dim=-1)
    x, y, z = (rays @ rotation(*(torch.tensor([a]) for a in (dpitch, dyaw, pitch)))[0].T).unbind(-1)
    reach = torch.stack(
        [focal * x / z / (WIDTH / 2 - margin), focal * y / z / (HEIGHT / 2 - margin)]
    )
    return (reach.abs() < 1).all(0) & (z > 0)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(degrees, degrees, views, st.floats(-180, 180))
def test_a_distant_texture_looks_as_from_the_new_view(
    dpitch: float, dyaw: float, pitch: float, yaw: float
) -> None:
    there = render(yaw + dyaw, pitch + dpitch)
    guess = turned(render(yaw, pitch), dpitch, dyaw, pitch)
    seen = inside(dpitch, dyaw, pitch)
    assert seen.float().mean() > 0.5
    assert (guess - there)[0, :, seen].abs().max() < 0.01


def test_no_rotation_changes_nothing() -> None:
    noise = torch.rand((2, 3, 32, 48), generator=torch.Generator().manual_seed(0)) * 2 - 1
    zero, pitch = torch.zeros(2), torch.tensor([0.0, 60.0])
    torch.testing.assert_close(warp(noise, zero, zero, pitch, FOV), noise, atol=2e-4, rtol=0)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(degrees, degrees, views)
def test_turning_back_restores_the_middle(dpitch: float, dyaw: float, pitch: float) -> None:
    picture = render(20.0, pitch)
    there = turned(picture, dpitch, dyaw, pitch)
    back = turned(there, -dpitch, -dyaw, pitch + dpitch)
    seen = inside(dpitch, dyaw, pitch) & inside(-dpitch, -dyaw, pitch + dpitch)
    middle = torch.zeros_like(seen)
    middle[30:-30, 50:-50] = True
    assert (back - picture)[0, :, seen & middle].abs().max() < 0.02


@settings(max_examples=20, deadline=None, derandomize=True)
@given(degrees, degrees, degrees, degrees, views)
def test_two_turns_are_one(a: float, b: float, c: float, d: float, pitch: float) -> None:
    """Pitch is absolute and yaw turns about the vertical, so angles simply add up."""
    p, t = torch.tensor([pitch]), torch.tensor
    one = rotation(t([a]), t([b]), p) @ rotation(t([c]), t([d]), p + a)
    torch.testing.assert_close(one, rotation(t([a + c]), t([b + d]), p), atol=1e-5, rtol=0)
    identity = torch.eye(3)[None]
    torch.testing.assert_close(one @ one.transpose(1, 2), identity, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_signs_of_the_camera(mode: str) -> None:
    """Turning right moves what is seen to the left; looking down moves it up."""
    spot = torch.full((1, 3, HEIGHT, WIDTH), -1.0)
    spot[:, :, 54:58, 94:98] = 1.0

    def centre(pixels: Tensor) -> tuple[float, float]:
        weight = (pixels[0, 0] + 1).clamp_min(0)
        rows, columns = torch.arange(HEIGHT) - 55.5, torch.arange(WIDTH) - 95.5
        total = weight.sum()
        return float((weight.sum(1) @ rows) / total), float((weight.sum(0) @ columns) / total)

    step = focal_length(HEIGHT, FOV) * math.tan(math.radians(5))  # 5 degrees at the middle
    row, column = centre(turned(spot, 0.0, 5.0, 0.0, mode))
    assert abs(column + step) < 0.3 and abs(row) < 0.3
    row, column = centre(turned(spot, 5.0, 0.0, 0.0, mode))
    assert abs(row + step) < 0.3 and abs(column) < 0.3


def test_yaw_near_straight_down_spins_the_picture() -> None:
    """Where the pitch comes in: looking down, a yaw turns the picture about its middle."""
    picture = render(0.0, 85.0)
    middle = turned(picture, 0.0, 8.0, 85.0)[0, :, 56, 96]
    flat = turned(picture, 0.0, 8.0, 0.0)[0, :, 56, 96]
    here = picture[0, :, 56, 96]
    assert (middle - here).abs().max() < 0.3 * (flat - here).abs().max()


def test_each_lane_turns_by_its_own_angles() -> None:
    pictures = torch.cat([render(0.0, 0.0), render(90.0, 30.0)])
    dpitch, dyaw, pitch = (
        torch.tensor([3.0, -2.0]),
        torch.tensor([-5.0, 4.0]),
        torch.tensor([0.0, 30.0]),
    )
    both = warp(pictures, dpitch, dyaw, pitch, FOV)
    for lane in range(2):
        one = slice(lane, lane + 1)
        single = warp(pictures[one], dpitch[one], dyaw[one], pitch[one], FOV)
        torch.testing.assert_close(both[one], single)


def test_focal_length_of_the_flagship() -> None:
    assert focal_length(112, 72.0) == pytest.approx(77.08, abs=0.01)


@pytest.mark.parametrize("side", [-1, 1])
def test_going_on_round_the_world_is_one_copy(side: int) -> None:
    """Turned into view bit by bit or at once: the same; a mirror gives stripes instead."""
    wave = torch.linspace(0, 40, 96).sin() * 0.8
    world = wave.expand(1, 3, 56, 96).contiguous()
    zero = torch.zeros(1)

    def turned(steps: int, round_the_world: bool) -> Tensor:
        picture = world
        for _ in range(steps):
            by = torch.tensor([side * 16.0 / steps])
            picture = warp(picture, zero, by, zero, 72.0, round_the_world=round_the_world)
        rows = slice(20, 36)  # near the horizon turning moves pixels along rows
        return picture[..., rows, :12] if side < 0 else picture[..., rows, -12:]

    apart = [(turned(1, way) - turned(6, way)).abs().mean().item() for way in (True, False)]
    assert apart[0] < 0.5 * apart[1]


def test_looking_down_finds_no_second_hand() -> None:
    """What comes into view below is ground of the left half; the right one, with the hand, stays
    out of it."""
    picture = torch.zeros(1, 3, 56, 96)
    picture[..., 48:] = 1.0
    down, zero = torch.tensor([20.0]), torch.zeros(1)
    below = warp(picture, down, zero, zero, 72.0, round_the_world=True)[..., -8:, 20:]
    assert below.abs().max() < 0.2  # bicubic overshoots at the seam
    assert warp(picture, down, zero, zero, 72.0)[..., -8:, 60:].min() > 0.9
