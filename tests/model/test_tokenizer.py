"""The tokenizer starts as the best linear patch code and stays invertible where that is exact."""

import pytest
import torch
from einops import rearrange
from torch import Tensor, nn

from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig


def make_tokenizer(channels: int = 8, hidden: int = 16) -> Tokenizer:
    torch.manual_seed(0)
    return Tokenizer(
        TokenizerConfig(height=16, width=24, patch=8, channels=channels, hidden=hidden, refine=8)
    )


def test_without_nets_encoding_a_decoded_picture_changes_nothing() -> None:
    """So a rollout that recycles its own frames loses nothing to the code, however long it is."""
    tokenizer = make_tokenizer(hidden=0)
    tokenizer.init_pca(make_pictures())
    latents = torch.randn((4, 6, 8), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        again = tokenizer.encode(tokenizer.decode_unclamped(latents))
    torch.testing.assert_close(again, latents, atol=1e-4, rtol=1e-4)


def make_pictures(count: int = 64) -> Tensor:
    """Smooth random pictures: neighbouring pixels are alike, as in a game."""
    random = torch.Generator().manual_seed(1)
    coarse = torch.randn((count, 3, 7, 9), generator=random)
    fine = 0.1 * torch.randn((count, 3, 16, 24), generator=random)
    smooth = nn.functional.interpolate(coarse, (16, 24), mode="bilinear", align_corners=False)
    return (0.4 * smooth + fine + 0.1).clamp(-1, 1)


def patches(pixels: Tensor) -> Tensor:
    return rearrange(pixels, "b c (h p) (w q) -> (b h w) (c p q)", p=8, q=8)


def test_pca_beats_every_other_orthogonal_code() -> None:
    tokenizer, pictures = make_tokenizer(), make_pictures()
    tokenizer.init_pca(pictures)
    with torch.no_grad():
        out = tokenizer.decode_unclamped(tokenizer.encode(pictures))
        error = (out - pictures).square().mean()
        flat = patches(pictures)
        centred = flat - flat.mean(0)
        random = torch.Generator().manual_seed(2)
        best = rearrange(tokenizer.patch_out.weight, "p c -> p c")
        for nearness in (0.0, 0.1, 0.5, 3.0):  # from the code itself to anything
            for _ in range(10):
                noise = torch.randn(best.shape, generator=random) * nearness
                basis, _ = torch.linalg.qr(best + noise)
                other = (centred @ basis @ basis.T - centred).square().mean()
                assert error <= other * (1 + 1e-4)
            assert nearness == 0 or other > error * 1.001, "the other codes are really others"


def test_pca_latents_have_unit_deviation_and_no_correlation() -> None:
    tokenizer, pictures = make_tokenizer(), make_pictures()
    tokenizer.init_pca(pictures)
    with torch.no_grad():
        latents = tokenizer.encode(pictures).flatten(0, 1)
    torch.testing.assert_close(latents.mean(0), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.T @ latents / len(latents), torch.eye(8), atol=1e-3, rtol=0)


def test_pictures_of_low_rank_survive_exactly() -> None:
    """Patches that are mixtures of `channels` patterns; and tokens are in row-major order."""
    random = torch.Generator().manual_seed(3)
    patterns = torch.randn((8, 3 * 8 * 8), generator=random) * 0.05
    mixed = torch.randn((64, 6, 8), generator=random) @ patterns + 0.1
    pictures = rearrange(mixed, "b (h w) (c p q) -> b c (h p) (w q)", h=2, w=3, c=3, p=8, q=8)
    pictures = pictures.clamp(-1, 1)
    tokenizer = make_tokenizer(channels=9)  # 8 patterns; clamping may not matter
    tokenizer.init_pca(pictures)
    with torch.no_grad():
        latents = tokenizer.encode(pictures)
        torch.testing.assert_close(tokenizer.decode(latents), pictures, atol=1e-4, rtol=0)
        moved = pictures.clone()
        moved[:, :, 8:, 16:] += 0.05  # the last patch
        changed = (tokenizer.encode(moved) - latents).abs().amax((0, 2)) > 1e-4
    assert changed.tolist() == [False] * 5 + [True]


def test_training_starts_from_the_linear_code() -> None:
    """The nets beside it are zero at first, but gradients reach them."""
    tokenizer, pictures = make_tokenizer(), make_pictures(4)
    tokenizer.init_pca(make_pictures())
    latents = tokenizer.encode(pictures)
    assert not tokenizer.encoder(pictures).any()
    out = tokenizer.decode_unclamped(latents)
    (out - pictures).square().mean().backward()
    for last in (tokenizer.encoder.out, tokenizer.decoder.out[-1]):
        assert last.weight.grad.abs().sum() > 0
    assert tokenizer.patch_in.weight.grad.abs().sum() > 0


def test_decode_stays_in_range_and_gradients_pass_where_it_clamps() -> None:
    tokenizer = make_tokenizer()
    tokenizer.init_pca(make_pictures())
    latents = (
        torch.randn((2, 6, 8), generator=torch.Generator().manual_seed(4)) * 9
    ).requires_grad_()
    assert tokenizer.decode(latents).abs().max() <= 1
    assert tokenizer.decode_unclamped(latents).abs().max() > 1
    tokenizer.decode_unclamped(latents).sum().backward()
    assert (latents.grad != 0).all()


def test_a_patch_that_never_changes_gives_finite_latents() -> None:
    """Fewer distinct directions than channels: a black world must not divide by zero."""
    tokenizer = make_tokenizer()
    black = torch.full((4, 3, 16, 24), -1.0)
    tokenizer.init_pca(black)
    with torch.no_grad():
        latents = tokenizer.encode(black)
        assert latents.isfinite().all()
        torch.testing.assert_close(tokenizer.decode(latents), black, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"height": 100}, "192x100 .*divisible"), ({"patch": 6, "height": 114}, "multiple of 4")],
)
def test_impossible_sizes_are_refused_by_name(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokenizerConfig(**settings)


def test_the_linear_code_is_a_projection() -> None:
    """A rollout recycles its own frames: without nets, going round again must change nothing.

    The first shipped tokenizer had nets and lost 4 dB in 41 rounds; see docs/LOG.md.
    """
    config = TokenizerConfig(height=32, width=48, channels=8, hidden=0)
    tokenizer = Tokenizer(config)
    pictures = torch.rand(64, 3, 32, 48, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    tokenizer.init_pca(pictures)
    with torch.no_grad():
        once = tokenizer.decode_unclamped(tokenizer.encode(pictures[:4]))
        again = once
        for _ in range(10):
            again = tokenizer.decode_unclamped(tokenizer.encode(again))
    assert (once - pictures[:4]).abs().max() > 0.1  # it does lose something, once
    assert torch.allclose(again, once, atol=1e-4)
