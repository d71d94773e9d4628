"""The tokenizer is the best linear patch code of colour and inverse depth, and a projection."""

import pytest
import torch
from einops import rearrange
from torch import Tensor, nn

from nfd_gym.model.patch_net import PatchNet
from nfd_gym.model.pixels import to_float
from nfd_gym.model.tokenizer import NEAREST, Tokenizer, TokenizerConfig, depth_code, nearness_of
from nfd_gym.train.stages.tokenizer import fit_net, rarity


def make_tokenizer(channels: int = 8, depth: int = 0, whiten: float = 1.0) -> Tokenizer:
    return Tokenizer(
        TokenizerConfig(
            height=16, width=24, patch=8, channels=channels, depth_channels=depth, whiten=whiten
        )
    )


def make_pictures(count: int = 64, planes: int = 3) -> Tensor:
    """Smooth random pictures: neighbouring pixels are alike, as in a game."""
    random = torch.Generator().manual_seed(planes)
    coarse = torch.randn((count, planes, 7, 9), generator=random)
    fine = 0.1 * torch.randn((count, planes, 16, 24), generator=random)
    smooth = nn.functional.interpolate(coarse, (16, 24), mode="bilinear", align_corners=False)
    return (0.4 * smooth + fine + 0.1).clamp(-1, 1)


def fitted(**settings: float) -> Tokenizer:
    tokenizer = make_tokenizer(**settings)  # type: ignore[arg-type]
    tokenizer.colour.fit(make_pictures())
    if tokenizer.depth is not None:
        tokenizer.depth.fit(depth_code(make_pictures(planes=1) + 1.0))
    return tokenizer


@pytest.mark.parametrize("whiten", [1.0, 0.5])
@pytest.mark.parametrize("depth", [0, 5])
def test_encoding_a_decoded_picture_changes_nothing(depth: int, whiten: float) -> None:
    """So a rollout loses nothing to the code, however long it is."""
    tokenizer = fitted(depth=depth, whiten=whiten)
    pictures, nearness = make_pictures(4), make_pictures(4, planes=1) + 1.2
    latents = tokenizer.encode(pictures, nearness)
    assert latents.shape == (4, 6, 8 + depth)
    colour, near = tokenizer.decode(latents)
    assert near.shape == (4, int(depth > 0), 16, 24)
    for _ in range(3):
        latents_again = tokenizer.encode(colour, near)
        colour, near = tokenizer.decode(latents_again)
    code = latents[..., :8]
    torch.testing.assert_close(latents_again[..., :8], code, atol=1e-4, rtol=1e-4)


def test_the_code_beats_every_other_orthogonal_one() -> None:
    tokenizer, pictures = fitted(), make_pictures()
    out, _ = tokenizer.decode(tokenizer.encode(pictures))
    error = (out - pictures).square().mean()
    flat = rearrange(pictures, "b c (h p) (w q) -> (b h w) (c p q)", p=8, q=8)
    centred, best = flat - flat.mean(0), tokenizer.colour.basis
    random = torch.Generator().manual_seed(2)
    for nearness in (0.0, 0.1, 0.5, 3.0):  # from the code itself to anything
        for _ in range(5):
            noise = torch.randn(best.shape, generator=random) * nearness
            basis, _ = torch.linalg.qr(best + noise)
            other = (centred @ basis @ basis.T - centred).square().mean()
            assert error <= other * (1 + 1e-4)
        assert nearness == 0 or other > error * 1.001, "the other codes are really others"


@pytest.mark.parametrize("whiten", [1.0, 0.5, 0.0])
def test_latents_have_the_deviation_that_whitening_says(whiten: float) -> None:
    tokenizer = fitted(whiten=whiten)
    latents = tokenizer.encode(make_pictures()).flatten(0, 1)
    std = tokenizer.colour.std
    torch.testing.assert_close(latents.mean(0), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std(0), (std / std[0]) ** (1 - whiten), atol=1e-3, rtol=1e-2)
    scaled = latents / latents.std(0)
    torch.testing.assert_close(scaled.T @ scaled / len(scaled), torch.eye(8), atol=1e-2, rtol=0)


def test_tokens_are_in_row_major_order() -> None:
    tokenizer, pictures = fitted(), make_pictures(2)
    moved = pictures.clone()
    moved[:, :, 8:, 16:] += 0.05  # the last patch
    apart = (tokenizer.encode(moved) - tokenizer.encode(pictures)).abs().amax((0, 2)) > 1e-4
    assert apart.tolist() == [False] * 5 + [True]


def test_the_depth_code_spreads_what_is_far_and_inverts() -> None:
    nearness = torch.tensor([0.0, 0.01, 0.1, 1.0, NEAREST, 16.0])
    code = depth_code(nearness)
    assert code[0] == -1 and code[4] == pytest.approx(1.0)
    torch.testing.assert_close(nearness_of(code), nearness, atol=1e-6, rtol=1e-5)
    assert code[2] - code[1] > 4 * (0.1 - 0.01) / NEAREST, "more than a linear code gives it"
    assert nearness_of(torch.tensor(-3.0)) == 0, "nothing is farther than the sky"


def test_statistics_of_tokens_are_read_in_their_places() -> None:
    tokenizer = make_tokenizer()
    picture = torch.zeros(1, 2, 16, 24)
    picture[0, 0, 9, 17], picture[0, 1, 0, 0] = 3.0, -2.0
    low, high = tokenizer.token_min(picture), tokenizer.token_max(picture)
    assert low[0, 0].tolist() == [[-2, 0, 0], [0, 0, 0]]
    assert high[0, 0].tolist() == [[0, 0, 0], [0, 0, 3]]
    assert tokenizer.token_rms(picture)[0, 0, 1, 2] == pytest.approx((9 / 128) ** 0.5)
    assert tokenizer.token_max(picture[:, :0]).sum() == 0
    wide = tokenizer.spread(high)
    assert wide.shape == (1, 1, 16, 24) and (wide[0, 0, 8:, 16:] == 3).all() and wide.sum() == 192
    masks = tokenizer.mask_tokens((picture != 0).float())
    assert masks.shape == (1, 6, 32)
    assert masks[0, 5, 0] == 0.25 and masks[0, 0, 16] == 0.25 and masks.sum() == 0.5


def test_impossible_sizes_are_refused_by_name() -> None:
    for wrong, message in (
        ({"height": 33}, "192x33 is no multiple of patch 16"),
        ({"patch": 6, "height": 12, "width": 12}, "multiple of 4"),
        ({"whiten": 2.0}, "whiten"),
    ):
        with pytest.raises(ValueError, match=message):
            TokenizerConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_an_autoencoder_pulls_wrong_codes_back_to_what_it_knows() -> None:
    """Noise on a code shrinks on the way through the picture; codes have unit power."""
    random = torch.Generator().manual_seed(0)
    sprites = torch.randint(0, 256, (6, 8, 8, 3), generator=random, dtype=torch.uint8)
    rows = torch.randint(6, (40, 2, 3), generator=random)
    frames = sprites[rows].permute(0, 1, 3, 2, 4, 5).reshape(40, 16, 24, 3)
    config = TokenizerConfig(height=16, width=24, patch=8, channels=8, hidden=64)
    tokenizer = Tokenizer(config)
    assert isinstance(tokenizer.colour, PatchNet)
    fit_net(tokenizer.colour, frames, count=600)
    picture = to_float(frames)
    with torch.no_grad():
        code = tokenizer.encode(picture)
        assert (code.square().mean(-1) - 1).abs().max() < 1e-3
        assert (tokenizer.decode(code)[0] - picture).square().mean() < 0.003
        noisy = code + 0.3 * torch.randn(code.shape, generator=random)
        again = tokenizer.encode(tokenizer.decode(noisy)[0].clamp(-1, 1))
    assert (again - code).square().mean().sqrt() < 0.1


def test_rare_patches_are_drawn_more_often() -> None:
    patches = torch.zeros(10, 3 * 4 * 4, dtype=torch.uint8)
    patches[7] = 200
    weight = rarity(patches, 3, 4)
    assert weight[7] == 1.0 and torch.allclose(weight[0] * 3, torch.ones((), dtype=torch.float64))
