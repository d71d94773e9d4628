"""The distance of heaps of patches: blind to where things lie, not to what they are."""

import torch
import torch.nn.functional as F
from torch import Tensor

from nfd_gym.diffusion.texture import LEVELS, bands, patch_distance


def clips() -> Tensor:
    """(2,4,3,112,192) of soft random texture."""
    noise = torch.randn((8, 3, 112, 192), generator=torch.Generator().manual_seed(0))
    return torch.tanh(F.avg_pool2d(noise, 3, 1, 1) * 2).unflatten(0, (2, 4))


def distance(made: Tensor, real: Tensor) -> float:
    return patch_distance(made, real, torch.Generator().manual_seed(1)).item()


def test_it_does_not_ask_where_in_the_clip_a_patch_is() -> None:
    real = clips()
    assert distance(real, real) == 0
    assert distance(real[:, [2, 0, 3, 1]], real) < 1e-6
    moved = distance(real.roll(16, -1), real)
    blurred = distance(F.avg_pool2d(real.flatten(0, 1), 3, 1, 1).unflatten(0, (2, 4)), real)
    assert moved < 0.3 * blurred


def test_seams_between_tokens_are_seen() -> None:
    """The same edges at random places are less of an offence than all on one grid."""
    real = clips()
    on_grid, scattered = real.clone(), real.clone()
    columns = torch.randperm(180, generator=torch.Generator().manual_seed(3))[:11]
    on_grid[..., 16::16] += 0.3
    scattered[..., columns + 2] += 0.3
    assert distance(on_grid, real) > 1.1 * distance(scattered, real)


def test_what_belongs_above_is_missed_above() -> None:
    real = clips() * 0.1
    real[..., :56, :] += 0.8
    assert distance(real.flip(-2), real) > 3 * distance(real.flip(-1), real)


def test_a_wash_finds_back_to_texture() -> None:
    real = clips()[:1]
    random = torch.Generator().manual_seed(2)
    made = (torch.randn(real.shape, generator=random) * 0.1).requires_grad_()
    optimiser = torch.optim.Adam([made], lr=0.03)
    before = distance(made, real)
    for _ in range(40):
        optimiser.zero_grad()
        patch_distance(made, real, random).backward()
        optimiser.step()
    assert distance(made, real) < 0.3 * before


def test_the_bands_hold_the_whole_picture() -> None:
    picture = clips()[0]
    parts = bands(picture)
    assert len(parts) == LEVELS
    whole = parts.pop()
    while parts:
        fine = parts.pop()
        whole = fine + F.interpolate(whole, size=fine.shape[-2:], mode="bilinear")
    torch.testing.assert_close(whole, picture)
