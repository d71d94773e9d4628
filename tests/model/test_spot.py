"""The spot: its place is read from pictures, and the denoiser is told where it goes."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from nfd_gym.errors import UsageError
from nfd_gym.model.denoiser import POINTER_WIDTH, Denoiser, DenoiserConfig, pointer_waves
from nfd_gym.model.spot import SpotBody, SpotConfig

CONFIG = SpotConfig(
    colour=(75, 120, 248), among=((255, 255, 255), (144, 238, 144), (143, 163, 184)), gain=0.35
)


def picture(right: float, down: float) -> torch.Tensor:
    """A spot of radius 4 at a place of a table (1,48,64,3) that is half another colour."""
    frame = torch.full((48, 64, 3), 255.0)
    frame[24:] = torch.tensor((143.0, 163.0, 184.0))
    y, x = torch.meshgrid(torch.arange(48) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    inside = (x - 32 * (right + 1)) ** 2 + (y - 24 * (down + 1)) ** 2 < 16
    frame[inside] = torch.tensor(CONFIG.colour, dtype=torch.float32)
    return frame.to(torch.uint8)[None]


@pytest.mark.parametrize("place", [(0.0, 0.0), (0.5, -0.25), (-0.7, 0.6)])
def test_the_place_is_where_the_spot_is(place: tuple[float, float]) -> None:
    """Within a tenth of a pixel, on either colour and between them."""
    apart = SpotBody(CONFIG).place(picture(*place))[0] - torch.tensor(place)
    assert (apart * torch.tensor([32, 24])).abs().max() < 0.1


def test_the_denoiser_is_told_this_place_and_the_next() -> None:
    body, none = SpotBody(CONFIG), torch.zeros(1, 0)
    state = SimpleNamespace(frame=picture(0.5, 0.5), pose=none, motion=none)
    move = body.move(None, state, torch.tensor([[-0.5, 0.5, 9.0]]))
    assert torch.allclose(move.control, torch.tensor([[0.5, 0.5, 0.15, 0.5]]), atol=0.01)
    assert move.pose.shape == move.motion.shape == (1, 0) and move.edit is None


def test_a_picture_without_a_spot_has_a_finite_place() -> None:
    place = SpotBody(CONFIG).place(torch.full((2, 8, 8, 3), 255, dtype=torch.uint8))
    assert torch.isfinite(place).all()


def test_the_body_that_was_saved_is_built_again() -> None:
    body = SpotBody(CONFIG)
    assert SpotBody.build(body.config(), body.tensors()).settings == CONFIG


def test_tokens_know_the_way_to_a_place() -> None:
    waves = pointer_waves(torch.tensor([[[0.75, -0.5]]]), 2, 4)
    assert waves.shape == (1, 1, 8, POINTER_WIDTH)
    assert waves[0, 0, 3, :2].tolist() == [0.0, 0.0]  # the last token of the first row
    assert waves[0, 0, 4, :2].tolist() == [1.5, -1.0]


def test_pointers_change_the_prediction_and_must_fit_the_control() -> None:
    config = DenoiserConfig(
        tokens_h=2, tokens_w=2, channels=4, control_width=4, width=16, depth=3, heads=2, window=0,
        condition=False, pointers=2,
    )  # fmt: skip
    torch.manual_seed(0)
    net = Denoiser(config)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    noisy, sigma = torch.zeros(1, 1, 4, 4), torch.ones(1, 1)
    one, other = (net(noisy, sigma, torch.tensor([[[0.0, 0, x, 0]]])) for x in (0.1, 0.6))
    assert not torch.allclose(one, other)
    with pytest.raises(UsageError, match="set pointers to at most 2"):
        replace(config, pointers=3)
