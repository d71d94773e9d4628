"""Laws of the learned motion: where nothing moves nothing changes, and both resamplers agree."""

import math

import pytest
import torch

from nfd_gym.keyboard import KEY_INDEX
from nfd_gym.model.attention import eager
from nfd_gym.model.denoiser import Denoiser, DenoiserConfig
from nfd_gym.model.hand import hand
from nfd_gym.model.motion import REACH, Motion, parallax, slide, to_camera
from nfd_gym.model.recycle import PACE, view
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


def test_whole_pixels_are_copied() -> None:
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
    assert torch.allclose(motion(hidden, latents, paint)[0], latents, atol=1e-4)
    with torch.no_grad():
        motion.out.bias[1 : 1 + 16] = 4.0 / REACH  # the columns of all cells: from 4 pixels right
    moved = tokenizer.decode(motion(hidden, latents, paint)[0][:, 0])
    seen = tokenizer.decode(latents[:, 0])
    shift = torch.zeros(1, 2, H, W)
    shift[:, 0] = 4.0
    truth = tokenizer.decode(tokenizer.encode(slide(seen, shift)))
    assert torch.allclose(moved, truth, atol=5e-3)
    assert not torch.allclose(moved, seen, atol=5e-2)


FOCAL = 30.0


def ground(eyes: tuple[float, float], pitch: float) -> torch.Tensor:
    """A chequered plain one eye height below, seen from (right, ahead): (1,1,H,W), sky zero."""
    y = (torch.arange(H) + 0.5 - H / 2)[:, None] / FOCAL
    x = ((torch.arange(W) + 0.5 - W / 2) / FOCAL).expand(H, W)
    down = y * math.cos(pitch) + math.sin(pitch)
    ahead = math.cos(pitch) - y * math.sin(pitch)
    right, far = x / down + eyes[0], ahead / down + eyes[1]
    plain = torch.sin(2 * right) * torch.cos(2 * far)
    return torch.where(down > 0.25, plain, torch.zeros(()))[None, None]


@pytest.mark.parametrize("pitch", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("step", [(0.0, 0.13), (0.0, -0.13), (0.13, 0.0), (-0.1, 0.1)])
def test_walking_over_flat_ground_slides_it_as_geometry_says(
    step: tuple[float, float], pitch: float
) -> None:
    here, there = ground((0.0, 0.0), pitch), ground(step, pitch)
    right, ahead, angle = (torch.tensor([value]) for value in (*step, pitch))
    walk = to_camera(right, torch.zeros(1), ahead, angle)
    moved = slide(here, parallax(walk, angle, torch.zeros(1, H, W), FOCAL))
    inside = (slice(None), slice(None), slice(H // 2 + 3, H - 3), slice(4, W - 4))
    wrong = (here - there)[inside].abs().mean()
    assert (moved - there)[inside].abs().mean() < 0.15 * wrong


def test_what_is_far_and_what_stands_still_does_not_slide() -> None:
    angle, step = torch.tensor([0.0]), torch.tensor([[0.1, 0.0, 0.2]])
    flat = torch.zeros(1, H, W)
    assert parallax(step, angle, flat, FOCAL)[..., : H // 2, :].abs().max() < 1e-5  # the sky
    assert parallax(0 * step, angle, flat + 0.7, FOCAL).abs().max() < 1e-5
    near = parallax(step, angle, flat + 0.7, FOCAL)[..., : H // 2, :]
    assert near[:, 0].abs().min() > 0  # a wall in front of the sky


def test_two_keys_walk_no_faster_and_opposite_keys_not_at_all() -> None:
    actions = torch.zeros(3, 25)
    actions[:2, KEY_INDEX["forward"]] = 1
    actions[0, KEY_INDEX["left"]] = 1
    actions[2, [KEY_INDEX["left"], KEY_INDEX["right"]]] = 1
    seen = view(torch.tensor([0.0, 90.0, 0.0]), actions)
    assert torch.allclose(seen[:, :2].norm(dim=-1), torch.tensor([PACE, PACE, 0.0]))
    assert seen[0, 0] < 0 < seen[0, 1]
    assert torch.allclose(seen[:, 2], torch.tensor([0.0, math.pi / 2, 0.0]))


def test_a_model_that_turns_starts_one_that_walks_unchanged_where_it_stands() -> None:
    sizes = dict(tokens_h=2, tokens_w=3, channels=24, width=32, depth=2, heads=2, causal_every=2)
    made = [
        Denoiser(DenoiserConfig(**sizes, recycle=kind, motion=4))  # type: ignore[arg-type]
        for kind in ("both", "walk")
    ]
    for part in made[0].parameters():
        torch.nn.init.normal_(part, std=0.1)
    assert made[0].motion is not None
    made[0].motion.learn_code(make_tokenizer())
    stands = slice(1 + 2 * 16, 1 + 3 * 16)  # who walks has a hand in one corner and nowhere else
    for part in (made[0].motion.out.weight, made[0].motion.out.bias):
        torch.nn.init.zeros_(part.data[stands])
    begin_with(made[1], made[0].state_dict())
    random = torch.Generator().manual_seed(2)
    noisy, turned, plain = (torch.randn(1, 3, 6, 24, generator=random) for _ in range(3))
    given = (noisy, torch.ones(1, 3), torch.zeros(1, 3, 25))
    pictures = torch.cat([turned, plain], dim=-1)
    before = made[0](*given, pictures)
    standing = torch.nn.functional.pad(pictures, (0, 3))
    assert torch.allclose(before, made[1](*given, standing), atol=1e-4)
    walking = standing.clone()
    walking[..., -2] = PACE
    assert not torch.allclose(before, made[1](*given, walking), atol=1e-2)


def test_through_somebodys_eyes_only_their_hand_stands() -> None:
    random = torch.Generator().manual_seed(0)
    layer = Motion((2, 3), 32, 24, 16, 4, walks=True)
    torch.nn.init.normal_(layer.out.weight, std=1.0, generator=random)
    recycled = torch.randn(1, 2, 6, 2 * 24 + 3, generator=random)
    hidden, paint = torch.randn(1, 2, 6, 32, generator=random), torch.zeros(1, 2, 6, 24)
    _, _, field = layer(hidden, recycled, paint)
    assert not field[:, 2, ~hand(32, 48)].any()
    assert field[:, 2, hand(32, 48)].abs().min() > 0


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
