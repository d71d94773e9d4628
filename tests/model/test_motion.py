"""Laws of the learned motion: where nothing moves nothing changes, and both resamplers agree."""

import pytest
import torch

from nfd_gym.model.attention import eager
from nfd_gym.model.denoiser import Denoiser, DenoiserConfig
from nfd_gym.model.motion import REACH, Motion, slide
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig
from nfd_gym.train.runs import begin_with

H, W = 32, 48
PICTURE = TokenizerConfig(height=H, width=W, channels=24, hidden=0)


def texture(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, H, W, generator=torch.Generator().manual_seed(seed))


def make_tokenizer() -> Tokenizer:
    """A code with few channels, as good as linear gets for smooth pictures."""
    tokenizer = Tokenizer(PICTURE)
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(64, 3, H // 8, W // 8, generator=random) * 2 - 1
    tokenizer.init_pca(torch.nn.functional.interpolate(coarse, (H, W), mode="bilinear"))
    return tokenizer


def test_whole_pixels_are_copied_exactly() -> None:
    picture = texture()
    shift = torch.zeros(1, 2, H, W)
    assert torch.allclose(slide(picture, shift), picture, atol=1e-6)
    shift[:, 0], shift[:, 1] = 3.0, -2.0
    moved = slide(picture, shift)
    assert torch.allclose(moved[..., 2:, : W - 3], picture[..., : H - 2, 3:], atol=1e-5)


def test_both_resamplers_agree_also_beyond_the_border() -> None:
    shift = 12 * torch.randn(1, 2, H, W, generator=torch.Generator().manual_seed(1))
    with eager():
        plain = slide(texture(), shift)
    assert torch.allclose(plain, slide(texture(), shift), atol=1e-5)


def test_the_plain_resampler_has_a_forward_derivative() -> None:
    shift = torch.full((1, 2, H, W), 0.3)
    towards = torch.ones_like(shift)
    with eager():
        _, exact = torch.func.jvp(lambda s: slide(texture(), s), (shift,), (towards,))
        step = 1e-2
        ends = [slide(texture(), shift + sign * step * towards) for sign in (1, -1)]
    assert torch.allclose(exact, (ends[0] - ends[1]) / (2 * step), atol=1e-3)


def test_a_told_motion_moves_the_picture_and_zero_motion_moves_nothing() -> None:
    tokenizer = make_tokenizer()
    motion = Motion(PICTURE.grid, 8, 24, 16, 4)
    motion.learn_code(tokenizer)
    picture = torch.nn.functional.interpolate(texture()[..., ::8, ::8], (H, W), mode="bilinear")
    latents = tokenizer.encode(picture)[:, None]
    hidden, paint = torch.zeros(1, 1, 6, 8), torch.zeros_like(latents)
    assert torch.allclose(motion(hidden, latents, latents, paint), latents, atol=1e-4)
    with torch.no_grad():
        motion.out.bias[1 : 1 + 16] = 4.0 / REACH  # the columns of all cells: from 4 pixels right
    moved = tokenizer.decode(motion(hidden, latents, latents, paint)[:, 0])
    seen = tokenizer.decode(latents[:, 0])
    shift = torch.zeros(1, 2, H, W)
    shift[:, 0] = 4.0
    truth = tokenizer.decode(tokenizer.encode(slide(seen, shift)))
    assert torch.allclose(moved, truth, atol=5e-3)
    assert not torch.allclose(moved, seen, atol=5e-2)


def test_a_model_without_motion_starts_one_with_it_unchanged() -> None:
    sizes = dict(tokens_h=2, tokens_w=3, channels=24, width=32, depth=2, heads=2, causal_every=2)
    before = Denoiser(DenoiserConfig(**sizes))  # type: ignore[arg-type]
    torch.nn.init.normal_(before.tokens_out.weight)
    after = Denoiser(DenoiserConfig(**sizes, recycle="both", places=True, motion=4))  # type: ignore[arg-type]
    begin_with(after, before.state_dict())
    assert after.motion is not None
    after.motion.learn_code(make_tokenizer())
    random = torch.Generator().manual_seed(2)
    noisy, turned, plain = (torch.randn(1, 3, 6, 24, generator=random) for _ in range(3))
    given = (noisy, torch.ones(1, 3), torch.zeros(1, 3, 25))
    out = after(*given, torch.cat([turned, plain], dim=-1))
    assert torch.allclose(before(*given, turned), out, atol=1e-4)


@pytest.mark.parametrize("wrong", [{"recycle": "none"}, {"form": "v"}, {"motion": 5}])
def test_motion_that_cannot_be_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="motion"):
        Denoiser(DenoiserConfig(**{"motion": 4, **wrong}))  # type: ignore[arg-type]
