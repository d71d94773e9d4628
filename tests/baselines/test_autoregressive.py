"""The rival: words round-trip, cache and teacher forcing agree, every token is decoded once."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nfd_gym.baselines.autoregressive import Autoregressive, AutoregressiveConfig, pick
from nfd_gym.baselines.fsq import Quantiser, fit, words
from nfd_gym.baselines.schedules import passes
from nfd_gym.errors import UsageError

CONFIG = AutoregressiveConfig(
    tokens_h=3, tokens_w=4, channels=6, control_width=2, width=32, depth=2, heads=2, window=2,
    causal_every=1, words=20,
)  # fmt: skip


def model(**changes: object) -> Autoregressive:
    torch.manual_seed(0)
    made = Autoregressive(replace(CONFIG, **changes))
    with torch.no_grad():
        made.places.normal_(std=0.5)
        made.words_out.weight.mul_(8)
        made.table.normal_()
    return made.eval().requires_grad_(False)


def clip(frames: int, envs: int = 2) -> tuple[Tensor, Tensor]:
    """Words (B,T,N) and actions (B,T,A)."""
    random = torch.Generator().manual_seed(1)
    told = torch.randint(CONFIG.words, (envs, frames, CONFIG.tokens), generator=random)
    return told, torch.randn(envs, frames, 2, generator=random)


def test_words_are_read_back_from_their_codes() -> None:
    made = model()
    told, control = clip(3)
    assert torch.equal(made.words(made.table[told]), told)
    level = torch.zeros(told.shape[:2])
    given = made.table[told] + 1e-3
    assert torch.equal(made(given, level, control, given), made.table[told])


def test_a_word_is_predicted_from_those_before_it_alone() -> None:
    made = model()
    told, control = clip(3)
    before = made.logits(told, control)
    other = told.clone()
    other[:, 1, 5] = (other[:, 1, 5] + 1) % CONFIG.words
    after = made.logits(other, control)
    changed = (before != after).any(-1)
    assert not changed[:, 0].any() and not changed[:, 1, :6].any() and changed[:, 1, 6:].all()
    assert changed[:, 2].all()


def test_drawing_in_raster_order_is_teacher_forcing_on_its_own_words() -> None:
    """With a cache, the chance of every drawn word is the one that the whole clip gives it."""
    made = model()
    told, control = clip(4)
    cache = made.make_cache(2)
    level = torch.zeros(2, 1)
    for frame in range(3):  # one more than the window
        part = slice(frame, frame + 1)
        made(made.table[told[:, part]], level, control[:, part], None, cache, 1)
    noise = torch.randn(
        2, 1, CONFIG.tokens, CONFIG.channels, generator=torch.Generator().manual_seed(2)
    )
    last = made.table[told[:, 2:3]]
    drawn = made.words(made(noise, level + 1, control[:, 3:], last, cache))
    logits = made.logits(torch.cat([told[:, :3], drawn], dim=1), control)[:, -1]
    chance = 0.5 * (1 + torch.erf(noise[:, 0, :, 0] / 2**0.5))
    assert torch.equal(pick(logits, chance, 1.0), drawn[:, 0])
    assert len(drawn.unique()) > 4


def test_an_environment_without_a_past_does_not_see_its_neighbours() -> None:
    made = model()
    told, control = clip(3)
    whole, alone = made.make_cache(2), made.make_cache(1)
    level = torch.zeros(2, 1)
    made(made.table[told[:, :1]], level, control[:, :1], None, whole, 1)
    whole.reset(torch.tensor([False, True]))
    noise = torch.randn(
        2, 1, CONFIG.tokens, CONFIG.channels, generator=torch.Generator().manual_seed(2)
    )
    last = made.table[told[:, :1]]
    both = made(noise, level + 1, control[:, 1:2], last, whole)
    one = made(noise[1:], level[1:] + 1, control[1:, 1:2], last[1:], alone)
    assert torch.equal(both[1:], one)


@pytest.mark.parametrize("decoding", ["raster", "diagonal", "parallel"])
def test_every_token_is_decoded_once(decoding: str) -> None:
    found = passes(decoding, 9, 9, 2)
    assert sorted(token for tokens in found for token in tokens) == list(range(81))
    assert len(found) == {"raster": 81, "diagonal": 9 + 8 * 2, "parallel": 1}[decoding]
    for tokens in found:
        assert len({token // 9 for token in tokens}) == len(tokens) or decoding == "parallel"
    made = model(decoding=decoding, lag=1)
    told, control = clip(1)
    noise = torch.zeros(2, 1, CONFIG.tokens, CONFIG.channels)
    out = made(noise, torch.ones(2, 1), control, made.table[told])
    again = made(noise, torch.ones(2, 1), control, made.table[told])
    assert torch.equal(out, again) and out.shape == noise.shape


def test_a_diagonal_as_long_as_a_row_is_raster() -> None:
    told, control = clip(1)
    noise = torch.randn(
        2, 1, CONFIG.tokens, CONFIG.channels, generator=torch.Generator().manual_seed(4)
    )
    level = torch.ones(2, 1)
    raster, diagonal = (
        model(decoding=name, lag=4)(noise, level, control, model().table[told])
        for name in ("raster", "diagonal")
    )
    assert torch.equal(raster, diagonal)


def test_words_are_as_likely_as_their_logits_and_top_p_cuts_the_tail() -> None:
    odds = torch.tensor([0.05, 0.6, 0.35])
    chance = (torch.arange(2000) + 0.5) / 2000
    for top_p, wanted in ((1.0, odds), (0.9, torch.tensor([0.0, 0.6 / 0.95, 0.35 / 0.95]))):
        got = pick(odds.log().expand(2000, 3), chance, top_p)
        assert (got.bincount(minlength=3) / 2000 - wanted).abs().max() < 2e-3


@pytest.mark.slow
def test_a_table_keeps_a_few_kinds_of_codes_apart() -> None:
    random = torch.Generator().manual_seed(0)
    kinds = Quantiser.on_sphere(torch.randn(12, 6, generator=random))
    codes = kinds[torch.randint(12, (400,), generator=random)]
    table = fit(codes, torch.ones(400), (4, 4, 4), 0, 300)
    back = table[words(kinds, table)]
    assert table.shape == (64, 6) and (back - kinds).square().mean() < 0.1
    assert len(words(kinds, table).unique()) == 12


def test_what_cannot_be_drawn_is_refused() -> None:
    made = model()
    told, control = clip(2)
    noise = torch.zeros(2, 2, CONFIG.tokens, CONFIG.channels)
    with pytest.raises(UsageError, match="one frame at a time"):
        made(noise, torch.ones(2, 2), control, made.table[told])
    with pytest.raises(UsageError, match="decoding must be one of"):
        replace(CONFIG, decoding="spiral")
