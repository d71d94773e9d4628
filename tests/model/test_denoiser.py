"""Laws of the denoiser: what may look at what, and that cached rollout equals training."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nfd_gym.diffusion.sample import sample_frame
from nfd_gym.errors import UsageError
from nfd_gym.memory.rays import WIDTH, ray_waves
from nfd_gym.model.attention import eager
from nfd_gym.model.denoiser import (
    POINTER_WIDTH,
    RAY_WIDTH,
    Denoiser,
    DenoiserConfig,
    pointer_waves,
)

B, T, A = 2, 7, 25
KINDS = {
    "alone": {"condition": False},
    "view": {},
    "masks and rays": {"masks": 2, "rays": True},
    "looks": {"looks": (1, 4)},
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def make_denoiser(**settings: object) -> Denoiser:
    """A small one whose every weight is random, so that everything allowed to matter does."""
    base: dict[str, object] = dict(
        tokens_h=2, tokens_w=3, channels=8, width=32, depth=4, heads=2, window=3, causal_every=2
    )
    model = Denoiser(DenoiserConfig(**{**base, **settings}))  # type: ignore[arg-type]
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in model.named_parameters():
            scale = 2.0 if "_scale" in name else 0.4 if "modulation" in name else 0.2
            value.copy_(scale * torch.randn(value.shape, generator=random))
    return model.eval().requires_grad_(False)


def inputs(seed: int = 0, frames: int = T) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    shape = (B, frames, 6, 8)
    return {
        "noisy": torch.randn(shape, generator=random),
        "sigma": torch.rand(shape[:2], generator=random),
        "control": torch.randn((B, frames, A), generator=random) * 0.5,
        "condition": torch.randn((*shape[:3], 8 + 32 + RAY_WIDTH), generator=random),
    }


def given(model: Denoiser, values: dict[str, Tensor], frames: slice) -> dict[str, Tensor]:
    part = {key: value[:, frames] for key, value in values.items()}
    part["condition"] = part["condition"][..., : model.config.condition_width]
    if not model.config.condition:
        del part["condition"]
    return part


@EVERY_KIND
def test_no_frame_sees_a_later_one(kind: str) -> None:
    model = make_denoiser(**KINDS[kind])
    values = given(model, inputs(0), slice(None))
    out = model(**values)
    for changed, key in itertools.product((1, T - 1), values):
        other = given(model, inputs(1), slice(None))
        later = {**values, key: values[key].clone()}
        later[key][:, changed:] = other[key][:, changed:]
        moved = model(**later)
        assert torch.equal(moved[:, :changed], out[:, :changed]), key
        assert not torch.equal(moved[:, changed], out[:, changed]), f"{key} does not matter"


def test_a_frame_sees_its_window_and_nothing_older() -> None:
    model = make_denoiser(depth=2)  # one block looks back, so the reach is the window itself
    values = given(model, inputs(0), slice(None))
    out = model(**values)
    for age in (3, 4):  # the window is 3
        earlier = {**values, "noisy": values["noisy"].clone()}
        earlier["noisy"][:, T - 1 - age] += 1.0
        assert torch.equal(model(**earlier)[:, -1], out[:, -1]) == (age > 3)


@EVERY_KIND
def test_cached_rollout_equals_the_whole_clip_at_once(kind: str) -> None:
    """Frames one by one, each committing its own keys, past the window and the ring's end."""
    model = make_denoiser(**KINDS[kind])
    values = inputs(0)
    whole = model(**given(model, values, slice(None)))
    cache = model.make_cache(B)
    for i in range(T):
        one = model(**given(model, values, slice(i, i + 1)), cache=cache, commit=1)
        torch.testing.assert_close(one, whole[:, i : i + 1], atol=1e-4, rtol=1e-4)
    cache.reset()
    first = model(**given(model, values, slice(0, 2)), cache=cache, commit=2)
    rest = model(**given(model, values, slice(2, T)), cache=cache, commit=0)
    torch.testing.assert_close(torch.cat([first, rest], 1), whole, atol=1e-4, rtol=1e-4)
    assert cache.length == 2, "commit=0 changes nothing"


def test_commit_keeps_only_the_first_frames() -> None:
    model = make_denoiser()
    values = inputs(0)
    cache, other = model.make_cache(B), model.make_cache(B)
    model(**given(model, values, slice(0, 3)), cache=cache, commit=1)
    model(**given(model, values, slice(0, 1)), cache=other, commit=1)
    after = given(model, values, slice(1, 2))
    expected = model(**after, cache=other)
    torch.testing.assert_close(model(**after, cache=cache), expected, atol=1e-5, rtol=1e-4)


def packed_inputs(seed: int = 0) -> dict[str, Tensor]:
    values, clean = inputs(seed), inputs(seed + 100)
    return {**values, "clean": clean["noisy"], "sigma_clean": 0.15 * clean["sigma"]}


@EVERY_KIND
def test_packed_frame_sees_clean_frames_before_it_only(kind: str) -> None:
    model = make_denoiser(**KINDS[kind])
    values = packed_inputs()
    values = given(model, values, slice(None))
    out = model.packed(**values)
    i = 4
    changed = {**values, "clean": values["clean"].clone()}
    changed["clean"][:, i:] += 1.0
    assert torch.equal(model.packed(**changed)[:, : i + 1], out[:, : i + 1])
    assert not torch.equal(model.packed(**changed)[:, i + 1], out[:, i + 1])
    noisy = {**values, "noisy": values["noisy"].clone()}
    noisy["noisy"][:, i] += 1.0
    others = [j for j in range(T) if j != i]
    assert torch.equal(model.packed(**noisy)[:, others], out[:, others])


@EVERY_KIND
def test_packed_equals_a_rollout_that_commits_clean_frames(kind: str) -> None:
    model = make_denoiser(**KINDS[kind])
    values = packed_inputs()
    values = given(model, values, slice(None))
    out = model.packed(**values)
    cache = model.make_cache(B)
    for i in range(T):
        here = slice(i, i + 1)
        common = {k: v[:, here] for k, v in values.items() if k in ("control", "condition")}
        one = model(values["noisy"][:, here], values["sigma"][:, here], **common, cache=cache)
        torch.testing.assert_close(one, out[:, here], atol=1e-4, rtol=1e-4)
        clean, level = values["clean"][:, here], values["sigma_clean"][:, here]
        model(clean, level, **common, cache=cache, commit=1)


def test_features_are_those_of_the_packed_pass() -> None:
    model = make_denoiser()
    values = given(model, packed_inputs(), slice(None))
    out, (first, last) = model.packed_features(**values, blocks=(1, 3))
    assert torch.equal(out, model.packed(**values))
    assert first.shape == last.shape == (B, T, 6, 32)
    changed = {**values, "clean": values["clean"].clone()}
    changed["clean"][:, 4:] += 1.0
    _, (moved, _) = model.packed_features(**changed, blocks=(1, 3))
    assert torch.equal(moved[:, :5], first[:, :5]) and not torch.equal(moved[:, 5], first[:, 5])


def test_plain_attention_equals_the_fused_kernel() -> None:
    """In every path: forward, cached with lanes of unequal age, packed."""
    model = make_denoiser()
    values = given(model, packed_inputs(), slice(None))
    lone = given(model, inputs(), slice(None))
    cache = model.make_cache(B)
    model(**given(model, inputs(3), slice(0, 3)), cache=cache, commit=3)
    cache.reset(torch.tensor([True, False]))
    fused = [model.packed(**values), model(**lone), model(**lone, cache=cache)]
    with eager():
        plain = [model.packed(**values), model(**lone), model(**lone, cache=cache)]
    for a, b in zip(fused, plain, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_a_lane_does_not_depend_on_its_neighbours() -> None:
    model = make_denoiser()
    values = given(model, inputs(), slice(None))
    both = model(**values)
    for lane in range(B):
        alone = model(**{key: value[lane : lane + 1] for key, value in values.items()})
        torch.testing.assert_close(alone[0], both[lane], atol=1e-5, rtol=1e-4)


def test_an_untrained_denoiser_repeats_the_view() -> None:
    torch.manual_seed(0)
    model = Denoiser(make_denoiser(masks=2, rays=True).config)
    values = given(model, inputs(), slice(None))
    assert torch.equal(model(**values), values["condition"][..., :8])


@pytest.mark.parametrize("context", ["noisy", "exact"])
def test_what_a_frame_leaves_in_the_cache(context: str) -> None:
    """The last evaluation's keys and values, or those of the finished frame at level 0."""
    model = make_denoiser()
    values = given(model, inputs(), slice(0, 1))
    control, condition, noise = (values[k][:, 0] for k in ("control", "condition", "noisy"))
    for sigmas in ((1.0,), (1.0, 0.5)):
        cache, expected = model.make_cache(B), model.make_cache(B)
        clean = sample_frame(model, cache, control, condition, noise, sigmas, context)
        assert cache.length == 1
        last, level = clean, 0.0
        if context == "noisy":
            last, level = noise, 1.0
            if len(sigmas) == 2:
                empty = model.make_cache(B)
                first = sample_frame(model, empty, control, condition, noise)
                last, level = 0.5 * first + 0.5 * noise, 0.5
        sigma = torch.full((B, 1), level)
        again = model(last[:, None], sigma, control[:, None], condition[:, None], expected, 1)
        torch.testing.assert_close(cache.keys, expected.keys)
        torch.testing.assert_close(cache.values, expected.values)
        if context == "noisy":
            torch.testing.assert_close(again[:, 0], clean)


def test_the_width_of_rays_is_that_of_their_waves() -> None:
    assert WIDTH == RAY_WIDTH
    assert ray_waves(torch.zeros(1, 5), 2, 3, 72.0).shape == (1, 6, WIDTH)


def test_impossible_sizes_are_refused_by_name() -> None:
    for settings, word in (
        ({"width": 30, "heads": 4}, "width"),
        ({"condition": False, "masks": 1}, "masks"),
        ({"depth": 1}, "depth"),
    ):
        with pytest.raises(ValueError, match=word):
            make_denoiser(**settings)
    with pytest.raises(ValueError, match="condition"):
        make_denoiser(condition=False)(**inputs())


def test_looked_tokens_are_told_to_all_beside_the_action() -> None:
    """Without attention a token hears of others by their looks alone; untrained looks are mute."""
    model = make_denoiser(looks=(1, 4))
    with torch.no_grad():
        for block in model.blocks:
            block.attended.weight.zero_(), block.attended.bias.zero_()  # type: ignore[operator, union-attr]
    values = given(model, inputs(), slice(0, 1))
    before = model(**values)
    for token, heard in ((1, True), (2, False)):
        other = {**values, "condition": values["condition"].clone()}
        other["condition"][:, :, token] += 1.0
        assert torch.equal(before[:, :, 0], model(**other)[:, :, 0]) != heard
    fresh, plain = Denoiser(replace(model.config)), Denoiser(replace(model.config, looks=()))
    assert fresh.looked is not None and plain.looked is None
    assert not fresh.looked(torch.randn(3, 2 * 8 + A)).any()
    with pytest.raises(UsageError, match=r"looks .* must be tokens from 0 to 5"):
        replace(model.config, looks=(6,))


def test_tokens_know_their_place_in_a_pose() -> None:
    """A pose that is turned by a quarter: its own right is the picture's down."""
    poses = torch.tensor([[[0.75, -0.5, 1.0, 0.0], [0.75, -0.5, 0.0, 1.0]]])
    waves = pointer_waves(poses, 2, 4)
    assert waves.shape == (1, 2, 8, POINTER_WIDTH)
    assert waves[0, :, 3, :2].tolist() == [[0.0, 0.0]] * 2  # the last token of the first row
    assert waves[0, 0, 4, :2].tolist() == [-1.5, 1.0]
    assert waves[0, 1, 4, :2].tolist() == [1.0, 1.5]


def test_pointers_change_the_prediction_and_must_fit_the_control() -> None:
    config = DenoiserConfig(
        tokens_h=2, tokens_w=2, channels=4, control_width=8, width=16, depth=3, heads=2, window=0,
        condition=False, pointers=2,
    )  # fmt: skip
    torch.manual_seed(0)
    net = Denoiser(config)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    noisy, sigma = torch.zeros(1, 1, 4, 4), torch.ones(1, 1)
    one, other = (
        net(noisy, sigma, torch.tensor([[[0.0, 0, 1, 0, x, 0, 1, 0]]])) for x in (0.1, 0.6)
    )
    assert not torch.allclose(one, other)
    with pytest.raises(UsageError, match="set pointers to at most 2"):
        replace(config, pointers=3)
