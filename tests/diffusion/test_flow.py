"""The straight path: end points, inverses, and where training noise falls."""

import torch
from torch import Tensor

from nfd_gym.diffusion.flow import draw_sigma, interpolate, ramp_weight, spread, velocity


def pair() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    clean, noise = torch.randn((2, 3, 4, 6, 8), generator=random, dtype=torch.float64)
    return clean, noise


def test_ends_of_the_path() -> None:
    clean, noise = pair()
    assert torch.equal(interpolate(clean, noise, torch.zeros(3, 4, dtype=torch.float64)), clean)
    assert torch.equal(interpolate(clean, noise, torch.ones(3, 4, dtype=torch.float64)), noise)


def test_velocity_and_clean_invert_each_other() -> None:
    clean, noise = pair()
    sigma = torch.rand((3, 4), generator=torch.Generator().manual_seed(1)).double() * 0.9 + 0.1
    noisy = interpolate(clean, noise, sigma)
    torch.testing.assert_close(velocity(clean, noisy, sigma), noise - clean)


def test_velocity_is_the_derivative_of_the_path() -> None:
    clean, noise = pair()
    sigma, step = torch.full((3, 4), 0.4, dtype=torch.float64), 1e-6
    ahead, back = (interpolate(clean, noise, sigma + sign * step) for sign in (1, -1))
    noisy = interpolate(clean, noise, sigma)
    torch.testing.assert_close((ahead - back) / (2 * step), velocity(clean, noisy, sigma))


def test_velocity_is_held_near_zero_noise() -> None:
    """Below the floor an error of the clean prediction is not blown up without bound."""
    clean, _ = pair()
    small = velocity(clean, clean + 0.01, torch.full((3, 4), 1e-9, dtype=torch.float64))
    assert small.abs().max() <= 0.01 / 0.02 + 1e-12


def test_each_frame_has_its_own_level() -> None:
    clean, noise = pair()
    sigma = torch.tensor([[0.0, 1.0, 0.0, 1.0]] * 3, dtype=torch.float64)
    noisy = interpolate(clean, noise, sigma)
    assert torch.equal(noisy[:, 0::2], clean[:, 0::2]) and torch.equal(
        noisy[:, 1::2], noise[:, 1::2]
    )
    assert spread(sigma, clean).shape == (3, 4, 1, 1)


def test_training_levels() -> None:
    random = torch.Generator().manual_seed(2)
    sigma = draw_sigma((200, 100), random, "cpu", pure=0.3)
    assert sigma.min() > 0 and sigma.max() == 1
    assert abs((sigma == 1).float().mean() - 0.3) < 0.02
    below = sigma[sigma < 1]
    assert (
        abs(torch.logit(below).mean() - 0.4) < 0.03 and abs(torch.logit(below).std() - 1.2) < 0.03
    )
    again = draw_sigma((200, 100), torch.Generator().manual_seed(2), "cpu", pure=0.3)
    assert torch.equal(sigma, again)


def test_ramp_runs_from_one_to_a_tenth() -> None:
    ends = ramp_weight(torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(ends, torch.tensor([1.0, 0.55, 0.1]))
