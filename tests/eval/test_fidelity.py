"""One-step scores and rollouts of a tiny world: the shortcut equals the Session, baselines are
beside."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nfd_gym.data import open_source
from nfd_gym.eval.fidelity import against_horizon, dream_all, one_step, predict_each, rivals
from nfd_gym.eval.measure import Amount
from nfd_gym.eval.rollout import Excerpt, cut
from nfd_gym.eval.shuffle import shuffled_ratio
from nfd_gym.eval.subject import open_dream
from nfd_gym.world import WorldModel
from tests.conftest import alike


@pytest.fixture(scope="module")
def excerpt(tiny_world: WorldModel, texture_recordings: Path) -> Excerpt:
    return cut(open_source(texture_recordings), 2, tiny_world.denoiser.config.window + 1, 6)


def test_one_pass_equals_a_session_per_frame(
    tiny_world: WorldModel, excerpt: Excerpt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scoring a stretch in one pass is a shortcut; without noise both ways draw the same
    pictures."""

    def silence(seed: int, lane: int, frame: int, draw: int, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(tuple(shape), np.float32)

    monkeypatch.setattr("nfd_gym.eval.fidelity.noise", silence)
    monkeypatch.setattr("nfd_gym.runtime.session.noise", silence)
    # One pass remembers a stretch from its first frame: so one frame ahead, or nobody turns.
    still = excerpt.actions.copy()
    still[..., -2:] = 0
    level = np.full(excerpt.actions.shape[:2], 5.0, np.float32)
    for part, frames in (
        (excerpt.span(0, excerpt.context + 1, excerpt.context), 2),
        (replace(excerpt, actions=still, pitch=level), 12),
    ):
        short = predict_each(tiny_world, part, lanes=2)
        primed = dream_all(open_dream(tiny_world, 2), part.each(part.context), 2)
        assert short.shape == primed.shape == (frames, 1, *part.frames.shape[2:])
        assert alike(short, primed)
        assert np.abs(short.astype(int) - np.roll(primed, 1, axis=0)).mean() > 5


def test_scores_stand_beside_baselines(tiny_world: WorldModel, excerpt: Excerpt) -> None:
    figures = one_step(tiny_world, excerpt, lanes=2)
    assert figures["frames"] == 12
    for measure in ("psnr", "ssim"):
        assert set(figures[measure]) == {
            "count",
            "world",
            "persistence",
            "warp",
            "mean frame",
            "tokenizer",
        }
    assert figures["psnr"]["count"]["all"] == 12
    counts = figures["psnr"]["count"]
    assert counts["camera"] + counts["walking"] + counts["standing"] == 12


def test_a_perfect_dream_scores_the_cap(tiny_world: WorldModel, excerpt: Excerpt) -> None:
    pictures = {"world": excerpt.real, **rivals(excerpt, tiny_world.codec)}
    figures = against_horizon(pictures, excerpt.real)
    assert np.allclose(figures["psnr"]["world"], 60) and np.allclose(
        figures["ssim"]["world"], 1, atol=1e-4
    )
    assert max(figures["psnr"]["mean frame"]) < 60


def test_swapped_actions_hurt_only_if_they_differ(tiny_world: WorldModel, excerpt: Excerpt) -> None:
    figures = shuffled_ratio(tiny_world, excerpt)
    assert figures["windows"] == 2 and figures["ratio"] > 1.0
    assert figures["loss_shuffled_network"] != figures["loss"]
    same = Excerpt(
        excerpt.frames,
        np.repeat(excerpt.actions[:1], 2, axis=0),
        excerpt.pitch,
        excerpt.context,
        excerpt.names,
    )
    assert shuffled_ratio(tiny_world, same)["ratio"] == pytest.approx(1.0)


def test_amounts_scale_in_number_and_fit_the_recordings() -> None:
    amount = Amount(windows=40, rollouts=24, long_rollouts=6)
    assert amount.scaled(0.5).rollouts == 12 and amount.scaled(0.5).horizon == amount.horizon
    assert amount.scaled(0.01).rollouts == 2
    assert amount.fitted(100).long_horizon == 100 and amount.fitted(100).horizon == 64
    with pytest.raises(ValueError, match="16 are needed"):
        amount.fitted(10)
