"""The denoiser's loss: every combination trains, and one clip can be learnt by heart."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from nfd_gym.actions import Camera
from nfd_gym.data.loader import Batch
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.presets import PRESETS
from nfd_gym.train.denoiser_step import DenoiserLoss, DenoiserStage, Recycling, robust
from nfd_gym.train.loop import Moment
from nfd_gym.train.optim import make_optimisers
from nfd_gym.world import WorldModel


def make_batch(world: WorldModel, path: Any, frames: int = 4, clips: int = 2) -> Batch:
    starts = WorldModel.load(path).starts()
    read = [starts.read(i, 0, frames) for i in range(clips)]
    return Batch(
        frames=np.stack([clip.frames for clip in read]),
        actions=np.stack([clip.actions for clip in read]),
        pitch=np.stack([clip.pitch for clip in read if clip.pitch is not None]),
        rewards=np.zeros((clips, frames), np.float32),
        event_flags={},
        first=0,
        clips=np.arange(clips),
        starts=np.zeros(clips, np.int64),
    )


def make_stage(world: WorldModel, loss: DenoiserLoss, **sizes: Any) -> DenoiserStage:
    torch.manual_seed(0)
    model = Denoiser(replace(PRESETS["micro"].denoiser, **sizes))
    return DenoiserStage(
        model, Recycling(world.tokenizer, model.config.recycle, Camera(72.0), "cpu"), loss, "cpu"
    )


def moment(step: int = 0, progress: float = 0.0) -> Moment:
    return Moment(step, progress, torch.Generator().manual_seed(step), {})


@pytest.mark.parametrize(
    ("form", "regime", "recycle"),
    list(
        product(
            ("x", "anchored", "v"), ("forced", "packed"), ("warp", "plain", "both", "walk", "none")
        )
    ),
)
def test_every_combination_takes_a_step(
    tiny_world: WorldModel, tiny_world_path: Any, form: str, regime: str, recycle: str
) -> None:
    stage = make_stage(tiny_world, DenoiserLoss(regime=regime), form=form, recycle=recycle)
    batch = make_batch(tiny_world, tiny_world_path)
    optimisers = make_optimisers(stage.model, 1e-3)
    for step, progress in ((0, 0.0), (1, 1.0)):  # the second may recycle its own rollout
        value, logs = stage.loss(batch, moment(step, progress))
        value.backward()
        assert value.isfinite() and all(np.isfinite(number) for number in logs.values())
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
    value, _ = stage.loss(batch, moment(2))
    value.backward()
    untouched = [n for n, p in stage.model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not untouched, "after two steps no zero-initialised layer blocks a gradient any more"


def test_one_clip_is_learnt_by_heart(tiny_world: WorldModel, tiny_world_path: Any) -> None:
    """From noise at every level, given the last frame: the sign of a mask or position bug is a
    floor that this does not get below."""
    loss = DenoiserLoss(
        recycled_noise=0.0, recorded=1.0, rollout=0.0, energy=0.0, channel_power=0.0
    )
    stage = make_stage(tiny_world, loss, width=64)
    batch = make_batch(tiny_world, tiny_world_path, frames=4, clips=1)
    copies = replace(
        batch,
        frames=batch.frames.repeat(8, 0),
        actions=batch.actions.repeat(8, 0),
        pitch=batch.pitch.repeat(8, 0),
    )
    optimisers = make_optimisers(stage.model, 4e-3)
    first = None
    for step in range(100):
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = group["peak_lr"] * min(1.0, (100 - step) / 40)
        value, logs = stage.loss(copies, moment(step))
        first = first or logs["copy"]
        value.backward()
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
    assert value.item() < 1e-3 * first


def test_draws_come_from_the_moment_alone(tiny_world: WorldModel, tiny_world_path: Any) -> None:
    stage = make_stage(tiny_world, DenoiserLoss())
    batch = make_batch(tiny_world, tiny_world_path)
    torch.manual_seed(5)
    one = stage.loss(batch, moment(3, 1.0))[0].item()
    torch.manual_seed(6)
    assert stage.loss(batch, moment(3, 1.0))[0].item() == one
    assert stage.loss(batch, moment(4, 1.0))[0].item() != one


def test_given_frames_are_what_a_session_would_recycle(
    tiny_world: WorldModel, tiny_world_path: Any
) -> None:
    """Frame i is recycled by the action that made frame i + 1, at the pitch of frame i."""
    stage = make_stage(tiny_world, DenoiserLoss())
    window = stage.recycling.window(make_batch(tiny_world, tiny_world_path))
    given = stage.recycling.given(window.pixels[:, :-1], window)
    assert given is not None and window.clean.shape == given.shape
    for i in range(given.shape[1]):
        one, after = tiny_world.recycle(
            window.pixels[:, i], window.pitch[:, i], window.actions[:, i]
        )
        assert one is not None
        turned = one[..., : given.shape[-1]]  # this stage recycles the warped frame alone
        torch.testing.assert_close(given[:, i], turned, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(after, window.pitch[:, i + 1], atol=1e-3, rtol=0)


def test_picture_shows_real_over_dreamt(tiny_world: WorldModel, tiny_world_path: Any) -> None:
    stage = make_stage(tiny_world, DenoiserLoss())
    batch = make_batch(tiny_world, tiny_world_path)
    picture = stage.picture(batch)
    assert picture.dtype == torch.uint8 and picture.shape == (2 * 32, 3 * 48, 3)
    real = torch.from_numpy(np.concatenate(list(batch.frames[0, 1:]), axis=1))
    assert torch.equal(picture[:32], real)


def test_an_unknown_regime_is_refused() -> None:
    with pytest.raises(ValueError, match="'forced' or 'packed', got 'teacher'"):
        DenoiserLoss(regime="teacher")


def test_a_robust_loss_pulls_alike_on_what_is_easy_and_what_nobody_can_know() -> None:
    squares = torch.tensor([1e-2, 1.0], requires_grad=True)
    assert torch.equal(robust(squares, 0.0), squares)
    shares = []
    for scale in (0.0, 0.01):
        errors = torch.tensor([0.1, 1.0], requires_grad=True)
        robust(errors.square(), scale).sum().backward()
        assert errors.grad is not None
        shares.append((errors.grad[1] / errors.grad[0]).item())
    assert shares[0] == pytest.approx(10.0) and shares[1] == pytest.approx(1.0, abs=0.02)
    assert robust(torch.zeros(1), 0.05).item() == 0.0
