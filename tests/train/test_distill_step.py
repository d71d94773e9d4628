"""Laws of the distillation step, on the tiny world."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from nfd_gym.actions import Camera
from nfd_gym.data import Batch
from nfd_gym.diffusion.flow import interpolate
from nfd_gym.keyboard import YAW
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.train.denoiser_step import Recycling
from nfd_gym.train.distill_rollout import cut, free_run, repeat_last, tail
from nfd_gym.train.distill_settings import LEVELS, DistillLoss
from nfd_gym.train.distill_step import DistillStage, share_alone
from nfd_gym.train.distill_watch import tangent_error
from nfd_gym.train.loop import Moment
from nfd_gym.world import WorldModel
from tests.conftest import make_tiny_world

CAMERA = Camera(72.0)
ALL = ("dcm", "scm", "trigflow", "full")


def make_batch(clips: int = 3, frames: int = 6) -> Batch:
    random = np.random.default_rng(0)
    still = random.integers(0, 255, (clips, 1, 4, 6, 3)).repeat(8, 2).repeat(8, 3)
    moved = np.concatenate([np.roll(still, i, 3) for i in range(frames)], 1)
    actions = np.zeros((clips, frames, 25), np.float32)
    actions[np.arange(clips), :, 3 + np.arange(clips)] = 1
    zeros = np.zeros((clips, frames), np.float32)
    index = np.arange(clips)
    return Batch(moved.astype(np.uint8), actions, zeros, zeros, {}, 0, index, index)


def make_stage(world: WorldModel, **settings: object) -> DistillStage:
    config = DistillLoss(critic_from=0, hold=0, grid=8, **settings)  # type: ignore[arg-type]
    teacher = copy.deepcopy(world.denoiser)
    form = "anchored" if config.continuous else "x"
    student = Denoiser(replace(teacher.config, form=form))
    student.load_state_dict(teacher.state_dict())
    recycling = Recycling(world.tokenizer, world.denoiser.config.recycle, CAMERA, "cpu")
    return DistillStage(student, teacher, recycling, config, "cpu")


def moment_of(stage: DistillStage, step: int = 1, seed: int = 0) -> Moment:
    average = {key: value.clone() for key, value in stage.model.state_dict().items()}
    return Moment(step, 0.5, torch.Generator().manual_seed(seed), average)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_one_pass_repeats_a_free_run_with_a_gradient(tiny_world: WorldModel, steps: int) -> None:
    """The run saw its frames one by one through a cache, the pass sees them at once: equal."""
    stage = make_stage(tiny_world)
    window = cut(stage.recycling.window(make_batch()), 3, 5)
    random = torch.Generator().manual_seed(0)
    run = free_run(stage.student, stage.recycling, window, LEVELS[steps], random)
    again, _ = repeat_last(stage.student, run, window)
    torch.testing.assert_close(again, run.clean, rtol=1e-4, atol=1e-4)
    assert again.requires_grad and not run.clean.requires_grad
    if steps == 1:
        random = torch.Generator().manual_seed(0)
        known = stage.recycling.rollout(stage.student, window, random)
        torch.testing.assert_close(run.pixels, known)


def test_what_nobody_can_know_may_stay(tiny_world: WorldModel) -> None:
    """A student that paints nothing is not asked to, however wrong its imagination is."""
    batch = make_batch()
    batch.frames[:, 1:] = 255 - batch.frames[:, 1:]
    losses = []
    for fade in (1.0, 0.0):
        stage = make_stage(tiny_world, rollout=1.0, energy=0.0, keep=1.0, fade=fade)
        torch.nn.init.zeros_(stage.student.tokens_out.weight)
        torch.nn.init.zeros_(stage.student.tokens_out.bias)
        losses.append(stage.loss(batch, moment_of(stage))[1]["main"])
    assert losses[0] > 0.1 and losses[1] < 1e-6


def test_what_turns_into_view_has_a_colour(tiny_world: WorldModel) -> None:
    """Nothing pulls there under keep alone; with tint the recording's colour does."""
    batch = make_batch()
    batch.frames[:, 1:] = 255 - batch.frames[:, :1]
    batch.actions[..., YAW] = 0.9
    mains = []
    for tint in (0.0, 1.0):
        stage = make_stage(tiny_world, rollout=1.0, energy=0.0, keep=1.0, fade=0.0, tint=tint)
        torch.nn.init.zeros_(stage.student.tokens_out.weight)
        torch.nn.init.zeros_(stage.student.tokens_out.bias)
        mains.append(stage.loss(batch, moment_of(stage))[1]["main"])
    assert mains[1] > mains[0] + 1e-3
    batch.actions[..., YAW] = 0.0  # and nowhere else
    still = stage.loss(batch, moment_of(stage))[1]["main"]
    assert still < 1e-6


def test_an_own_run_learns_from_the_pictures_that_were_shown(tiny_world: WorldModel) -> None:
    """They carry more than the latents that they were made of; texture pulls at paint alone."""
    stage = make_stage(tiny_world)
    for parameter in stage.student.motion.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    window = cut(stage.recycling.window(make_batch()), 3, 5)
    lesson = stage._on_own_run(window, torch.Generator().manual_seed(0))
    random = torch.Generator().manual_seed(0)
    stage._draw_steps(random)
    run = free_run(stage.student, stage.recycling, window, LEVELS[1], random)
    shown = stage.recycling.tokenizer.encode(run.pixels.flatten(0, 1)).view_as(lesson.made)
    torch.testing.assert_close(lesson.made, shown, rtol=0, atol=1e-3)
    assert (shown - run.clean).abs().max() > 0.1
    torch.testing.assert_close(lesson.paint, lesson.made)
    pull = torch.randn(lesson.paint.shape)
    weights = stage.student.motion.out.weight
    (on_all,) = torch.autograd.grad((lesson.made * pull).sum(), weights, retain_graph=True)
    (on_paint,) = torch.autograd.grad((lesson.paint * pull).sum(), weights)
    assert on_paint[1:].norm() < 1e-4 * on_all[1:].norm()  # the rows that say where things go
    assert on_paint[0].norm() > 0


def test_keeping_needs_a_camera(tiny_world: WorldModel) -> None:
    recycling = Recycling(tiny_world.tokenizer, "plain", None, "cpu")
    config = DistillLoss(keep=1.0)
    with pytest.raises(ValueError, match=r"loss\.keep"):
        DistillStage(tiny_world.denoiser, tiny_world.denoiser, recycling, config, "cpu")


@pytest.mark.parametrize("recipe", ALL)
def test_every_recipe_teaches_the_whole_student_and_nobody_else(
    tiny_world: WorldModel, recipe: str
) -> None:
    pulls = {"pixel_share": 0.5, "feature_share": 0.5, "texture_share": 0.5}
    pulls = pulls if recipe == "full" else {}
    stage = make_stage(tiny_world, recipe=recipe, **pulls)
    loss, logs = stage.loss(make_batch(), moment_of(stage))
    loss.backward()
    assert bool(torch.isfinite(loss)) and all(np.isfinite(list(logs.values())))
    for name, parameter in stage.model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
    moved = [p for p in stage.student.parameters() if p.grad is not None and p.grad.any()]
    assert len(moved) > 0.9 * len(list(stage.student.parameters()))
    for frozen in (stage.teacher, stage.average, stage.recycling.tokenizer):
        assert all(p.grad is None for p in frozen.parameters())


def test_the_same_moment_gives_the_same_loss(tiny_world: WorldModel) -> None:
    """Resuming a killed run must not change it: nothing may draw from a global generator."""
    stage = make_stage(tiny_world, recipe="full", pixel_share=0.5, rollout=0.5, own=0.5)
    stage.model.eval()  # spectral norm refines its estimate in training mode
    values = []
    for _ in range(2):
        batch = make_batch(clips=2, frames=4)
        losses = [stage.loss(batch, moment_of(stage, 2, seed))[0] for seed in range(2)]
        values.append([loss.item() for loss in losses])
    assert values[0] == values[1] and len(set(values[0])) == 2


def test_far_into_a_free_run_its_last_frames_learn(tiny_world: WorldModel) -> None:
    stage = make_stage(
        tiny_world, recipe="full", rollout=1.0, rollout_frames=2, rollout_after=3, pixel_share=0.5
    )
    window = stage.recycling.window(make_batch())
    run = free_run(stage.student, stage.recycling, window, (1.0,), torch.Generator().manual_seed(0))
    assert torch.equal(run.tail(2).clean, run.clean[:, 3:])
    assert torch.equal(tail(window, 2).clean, window.clean[:, 3:])
    assert torch.equal(tail(window, 2).pixels, window.pixels[:, 3:])
    far = set()
    for seed in range(8):
        loss, logs = stage.loss(make_batch(), moment_of(stage, 2, seed))
        far.add(round(logs["own_first"], 9))
        assert bool(torch.isfinite(loss))
    assert len(far) > 2  # the learning part begins at different frames


def test_the_target_net_is_the_running_average_itself(tiny_world: WorldModel) -> None:
    stage = make_stage(tiny_world)
    moment = moment_of(stage)
    stage.loss(make_batch(), moment)
    moment.ema["student.tokens_out.bias"].fill_(7.0)
    assert bool((stage.average.tokens_out.bias == 7).all())


def test_continuous_recipes_refuse_a_student_without_boundary(tiny_world: WorldModel) -> None:
    recycling = Recycling(tiny_world.tokenizer, tiny_world.denoiser.config.recycle, CAMERA, "cpu")
    net = tiny_world.denoiser
    with pytest.raises(ValueError, match=r"model\.form=anchored"):
        DistillStage(net, net, recycling, DistillLoss(recipe="scm"), "cpu")


@pytest.mark.parametrize("context", ["packed", "joint"])
def test_jvp_of_the_denoiser_is_that_of_central_differences(context: str) -> None:
    """Through hand-written attention, adaLN, RoPE and QK-norm, in fp32. The context half of
    "packed" is no input of the differentiated function: its tangent is zero by construction.
    Without learned motion, whose bilinear kinks central differences straddle; test_motion.py."""
    stage = make_stage(make_tiny_world(recycle="both"), recipe="scm", context=context)
    window = stage.recycling.window(make_batch())
    random = torch.Generator().manual_seed(0)
    recycled = stage.recycling.given(window.pixels[:, :-1], window)
    view = stage._context(window, recycled, random)(stage.student)
    noise = torch.randn(window.clean.shape, generator=random)
    sigma = 0.2 + 0.6 * torch.rand(window.clean.shape[:2], generator=random)
    assert tangent_error(view, interpolate(window.clean, noise, sigma), sigma) < 2e-3


def test_a_frame_does_not_see_its_future_in_any_context(tiny_world: WorldModel) -> None:
    for context in ("packed", "joint"):
        stage = make_stage(tiny_world, context=context)
        window = stage.recycling.window(make_batch())
        recycled = stage.recycling.given(window.pixels[:, :-1], window)
        view = stage._context(window, recycled, torch.Generator().manual_seed(0))(stage.student)
        sigma = torch.full(window.clean.shape[:2], 0.5)
        noisy = window.clean.clone()
        before = view(noisy, sigma)
        noisy[:, 3] += 1
        after = view(noisy, sigma)
        assert torch.equal(before[:, :3], after[:, :3]) and not torch.equal(before, after)


def test_distillation_approaches_the_teachers_picture(tiny_world: WorldModel) -> None:
    """From the same noise, one step of the student comes nearer to 18 steps of the teacher."""
    stage = make_stage(tiny_world, recipe="dcm", own=0.0, recorded=1.0)
    batch = make_batch(clips=2, frames=4)
    stage.watch_on(batch)
    assert stage.watch is not None
    before = stage.watch.measure(stage.student)["from_teacher_1"]
    optimiser = torch.optim.Adam(stage.student.parameters(), lr=4e-3)
    moment = moment_of(stage)
    for step in range(1, 25):
        loss, _ = stage.loss(batch, replace(moment, step=step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        for key, value in stage.model.state_dict().items():
            moment.ema[key].lerp_(value, 0.3)
    after = stage.watch.measure(stage.student)["from_teacher_1"]
    assert after < 0.92 * before, f"{before:.4f} -> {after:.4f}"


def test_critics_learn_before_they_pull(tiny_world: WorldModel) -> None:
    stage = make_stage(tiny_world, recipe="dcm", pixel_share=0.5)
    plain = make_stage(tiny_world, recipe="dcm")
    late = DistillStage(
        plain.student, plain.teacher, plain.recycling, replace(stage.config, critic_from=10),
        "cpu",
    )  # fmt: skip
    grads = []
    for each in (plain, late, stage):
        loss, _ = each.loss(make_batch(), moment_of(each, step=2))
        (grad,) = torch.autograd.grad(loss, each.student.tokens_out.weight)
        grads.append(grad)
    torch.testing.assert_close(grads[0], grads[1])
    assert (grads[2] - grads[0]).norm() > 0.05 * grads[0].norm()


def test_the_picture_has_a_row_per_sampler(tiny_world: WorldModel) -> None:
    stage = make_stage(tiny_world, steps=(1, 2, 4))
    assert stage.picture(make_batch()).shape == (4 * 32, 5 * 48, 3)


def test_only_its_own_loss_teaches_the_share_that_stands() -> None:
    field = torch.rand(2, 3, 4, 5, requires_grad=True)
    inner = field * 1.0
    share = share_alone(inner)
    (3 * inner.sum() + (share**2).sum()).backward()
    assert field.grad is not None
    torch.testing.assert_close(field.grad[:, :2], torch.full((2, 2, 4, 5), 3.0))
    torch.testing.assert_close(field.grad[:, 2], 2 * field[:, 2].detach())
    unasked = torch.rand(1, 3, 4, 5, requires_grad=True)
    inner = unasked * 1.0
    share_alone(inner)
    inner.sum().backward()
    assert unasked.grad is not None and not unasked.grad[:, 2].any()
