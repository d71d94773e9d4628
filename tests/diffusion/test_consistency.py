"""Laws of the distillation losses, on data whose probability-flow ODE is known in closed form.

Clean frames are N(mean, std^2): the optimal denoiser is affine, and the ODE moves every point
along its own quantile, so f(noisy, sigma) = mean + std (noisy - (1 - sigma) mean) / spread(sigma).
"""

import math

import pytest
import torch
from torch import Tensor

from nfd_gym.diffusion import consistency, flow

MEAN, STD = 0.7, 0.5


def gaussian_spread(sigma: Tensor) -> Tensor:
    return torch.sqrt((1 - sigma) ** 2 * STD**2 + sigma**2)


def gaussian_denoiser(noisy: Tensor, sigma: Tensor) -> Tensor:
    level = flow.spread(sigma, noisy)
    gain = (1 - level) * STD**2 / gaussian_spread(level) ** 2
    return MEAN + gain * (noisy - (1 - level) * MEAN)


def gaussian_end_point(noisy: Tensor, sigma: Tensor) -> Tensor:
    level = flow.spread(sigma, noisy)
    return MEAN + STD * (noisy - (1 - level) * MEAN) / gaussian_spread(level)


def gaussian_batch(seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    clean = MEAN + STD * torch.randn(6, 5, 4, 3, generator=generator, dtype=dtype)
    noise = torch.randn(6, 5, 4, 3, generator=generator, dtype=dtype)
    sigma = 0.03 + 0.96 * torch.rand(6, 5, generator=generator, dtype=dtype)
    return clean, noise, sigma


def test_grid_runs_from_one_to_zero_and_shift_crowds_noise() -> None:
    for shift in (1.0, 3.0, 5.0):
        grid = consistency.sigma_grid(16, shift)
        assert grid[0] == 1 and grid[-1] == 0 and bool((grid.diff() < 0).all())
    assert (consistency.sigma_grid(16, 5.0) > 0.5).sum() > (consistency.sigma_grid(16) > 0.5).sum()
    with pytest.raises(ValueError, match="at least 1 step"):
        consistency.sigma_grid(0)


def test_discrete_boundary_is_exact() -> None:
    """At the last grid position the target is the teacher's step itself, not the average's view."""
    clean, noise, _ = gaussian_batch(0)
    grid = consistency.sigma_grid(8).double()
    sigma = grid[7].expand(6, 5)
    noisy = flow.interpolate(clean, noise, sigma)
    target = consistency.discrete_target(
        gaussian_denoiser, lambda x, s: x * torch.nan, noisy, sigma, torch.zeros_like(sigma)
    )
    assert torch.equal(target, gaussian_denoiser(noisy, sigma))


def test_discrete_targets_chain_to_the_ode_end_point() -> None:
    """Using the exact f as the average, the target's error is that of one Euler step: it falls
    with the square of the step, so the chain over the grid converges with first order."""
    clean, noise, _ = gaussian_batch(1)
    errors = []
    for steps in (16, 32, 64):
        grid = consistency.sigma_grid(steps).double()
        worst = 0.0
        for index in range(steps):
            sigma, below = grid[index].expand(6, 5), grid[index + 1].expand(6, 5)
            noisy = flow.interpolate(clean, noise, sigma)
            target = consistency.discrete_target(
                gaussian_denoiser, gaussian_end_point, noisy, sigma, below
            )
            error = (target - gaussian_end_point(noisy, sigma)).abs().max()
            worst = max(worst, float(error))
        errors.append(worst)
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.25)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.25)


def test_discrete_loss_mixes_levels_per_frame_and_vanishes_only_at_consistency() -> None:
    clean, noise, _ = gaussian_batch(2)
    grid = consistency.sigma_grid(64).double()
    index = torch.randint(0, 64, (6, 5), generator=torch.Generator().manual_seed(3))
    end = gaussian_end_point
    right = consistency.discrete_loss(end, gaussian_denoiser, end, clean, noise, grid, index)
    wrong = consistency.discrete_loss(
        gaussian_denoiser, gaussian_denoiser, end, clean, noise, grid, index
    )
    assert right.shape == (6, 5)
    assert right.max() < 1e-4
    assert wrong.mean() > 1e-2  # the conditional mean is not the ODE's end point
    huber = consistency.discrete_loss(
        gaussian_denoiser, gaussian_denoiser, end, clean, noise, grid, index, huber=1e3
    )
    torch.testing.assert_close(huber, wrong, rtol=1e-5, atol=1e-9)  # large huber: squared error


def test_no_gradient_reaches_teacher_or_average() -> None:
    clean, noise, _ = gaussian_batch(4)
    weights = [torch.ones((), dtype=torch.float64, requires_grad=True) for _ in range(3)]
    grid = consistency.sigma_grid(8).double()
    index = torch.full((6, 5), 3)
    student, teacher, average = (
        lambda x, s, w=weight: w * gaussian_denoiser(x, s) for weight in weights
    )
    consistency.discrete_loss(student, teacher, average, clean, noise, grid, index).sum().backward()
    assert weights[0].grad is not None
    assert weights[1].grad is None and weights[2].grad is None


def test_rf_tangent_is_zero_at_the_solution() -> None:
    clean, noise, sigma = gaussian_batch(5)
    noisy = flow.interpolate(clean, noise, sigma)
    velocity = flow.velocity(gaussian_denoiser(noisy, sigma), noisy, sigma)
    solved = consistency.rf_tangent(gaussian_end_point, velocity, noisy, sigma, ramp=1.0)
    assert solved.abs().max() < 1e-12
    teacher = consistency.rf_tangent(gaussian_denoiser, velocity, noisy, sigma, ramp=0.0)
    assert teacher.abs().max() < 1e-12  # at ramp 0 the teacher itself is the solution
    assert consistency.rf_tangent(gaussian_denoiser, velocity, noisy, sigma, 1.0).abs().max() > 0.1


def test_rf_tangent_equals_the_velocity_formula() -> None:
    """h = (v_teacher - v) - ramp sigma dv/dsigma (Causal-rCM): two ways to the same number."""
    clean, noise, sigma = gaussian_batch(6)
    noisy = flow.interpolate(clean, noise, sigma)
    velocity = flow.velocity(gaussian_denoiser(noisy, sigma), noisy, sigma)

    def student(x: Tensor, s: Tensor) -> Tensor:
        return torch.tanh(x) * flow.spread(1 + s, x)

    def student_velocity(x: Tensor, s: Tensor) -> Tensor:
        return flow.velocity(student(x, s), x, s)

    value, change = consistency.jvp(
        student_velocity, (noisy, sigma), (velocity, torch.ones_like(sigma))
    )
    for ramp in (0.0, 0.3, 1.0):
        expected = (velocity - value) - ramp * flow.spread(sigma, noisy) * change
        found = consistency.rf_tangent(student, velocity, noisy, sigma, ramp)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_trigflow_round_trip_is_lossless() -> None:
    clean, noise, sigma = gaussian_batch(7, torch.float32)
    noisy = flow.interpolate(clean, noise, sigma)
    angle = consistency.sigma_to_angle(sigma)
    torch.testing.assert_close(consistency.angle_to_sigma(angle), sigma, rtol=0, atol=1e-6)
    for data_std in (0.5, 1.0):
        there = consistency.flow_to_trig(noisy, sigma, data_std)
        back = consistency.trig_to_flow(there, angle, data_std)
        torch.testing.assert_close(back, noisy, rtol=0, atol=1e-6)
    # The trig frame is cos clean + sin noise of the same clean and noise.
    expected = (
        flow.spread(torch.cos(angle), clean) * clean + flow.spread(torch.sin(angle), noise) * noise
    )
    torch.testing.assert_close(
        consistency.flow_to_trig(noisy, sigma), expected, rtol=1e-5, atol=1e-6
    )
    network = consistency.trig_network(gaussian_denoiser)
    again = consistency.flow_denoiser(network)(noisy, sigma)
    torch.testing.assert_close(again, gaussian_denoiser(noisy, sigma), rtol=0, atol=1e-6)


def test_trig_network_is_the_published_formula() -> None:
    clean, noise, sigma = gaussian_batch(8)
    noisy = flow.interpolate(clean, noise, sigma)
    velocity = flow.velocity(gaussian_denoiser(noisy, sigma), noisy, sigma)
    level = flow.spread(sigma, noisy)
    scale = torch.sqrt(level**2 + (1 - level) ** 2)
    expected = ((1 - 2 * level) * noisy + (1 - 2 * level + 2 * level**2) * velocity) / scale
    found = consistency.trig_network(gaussian_denoiser)(
        consistency.flow_to_trig(noisy, sigma), consistency.sigma_to_angle(sigma)
    )
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_trig_tangent_is_zero_at_the_solution_and_scales_with_the_rf_one() -> None:
    """h_trig = cos sin-weighted df/dangle; the same zero set as the RF tangent."""
    clean, noise, sigma = gaussian_batch(9)
    noisy = flow.interpolate(clean, noise, sigma)
    angle, scaled = consistency.sigma_to_angle(sigma), consistency.flow_to_trig(noisy, sigma)
    direction = consistency.trig_network(gaussian_denoiser)(scaled, angle)
    solved = consistency.trig_tangent(
        consistency.trig_network(gaussian_end_point), direction, scaled, angle, ramp=1.0
    )
    assert solved.abs().max() < 1e-10
    velocity = flow.velocity(gaussian_denoiser(noisy, sigma), noisy, sigma)
    change = consistency.rf_tangent(gaussian_denoiser, velocity, noisy, sigma, ramp=1.0)
    wrong = consistency.trig_tangent(
        consistency.trig_network(gaussian_denoiser), direction, scaled, angle, ramp=1.0
    )
    # df/dangle = df/dsigma * dsigma/dangle, and dsigma/dangle = 1 / (sin + cos)^2.
    rate = 1 / (torch.sin(angle) + torch.cos(angle)) ** 2
    expected = flow.spread(torch.cos(angle) * rate, change) * change
    torch.testing.assert_close(wrong, expected, rtol=1e-8, atol=1e-9)


def test_jvp_agrees_with_central_differences_in_fp32() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 32), torch.nn.SiLU(), torch.nn.LayerNorm(32), torch.nn.Linear(32, 3)
    )

    def function(x: Tensor, s: Tensor) -> Tensor:
        return net(torch.cat([x, flow.spread(s, x).expand_as(x[..., :1])], -1))

    clean, noise, sigma = gaussian_batch(10, torch.float32)
    noisy = flow.interpolate(clean, noise, sigma)
    tangents = (noise - clean, torch.ones_like(sigma))
    value, exact = consistency.jvp(function, (noisy, sigma), tangents)
    assert not value.requires_grad and not exact.requires_grad
    approximate = consistency.central_difference(function, (noisy, sigma), tangents)
    error = (exact - approximate).norm() / exact.norm()
    assert error < 1e-3


def test_normalised_tangent_has_one_size_per_frame_and_drops_broken_frames() -> None:
    tangent = torch.randn(2, 3, 8, 4, generator=torch.Generator().manual_seed(0))
    tangent[0] *= 1e4
    tangent[1, 1, 2, 0] = torch.nan
    out = consistency.normalise_tangent(tangent)
    rms = (out**2).flatten(2).mean(-1).sqrt()
    torch.testing.assert_close(rms[0], torch.ones(3), rtol=1e-3, atol=0)
    assert bool((out[1, 1] == 0).all()) and bool((rms[1, 0] > 0.8) & (rms[1, 0] < 1))


@pytest.mark.parametrize(
    "recipe",
    [
        "discrete",
        pytest.param("rf", marks=pytest.mark.slow),
        pytest.param("trig", marks=pytest.mark.slow),
    ],
)
def test_training_reaches_the_ode_end_point(recipe: str) -> None:
    """A student that starts at the conditional mean learns the quantile map of the ODE.

    The loss of the sCM recipes is flat by construction, so the distance to the closed form is the
    only honest measure of signs and scales.
    """
    generator = torch.Generator().manual_seed(11)
    knots = torch.nn.Parameter(torch.zeros(2, 5))
    optimiser = torch.optim.Adam([knots], lr=0.08, betas=(0.9, 0.99))

    def correction(x: Tensor, s: Tensor, table: Tensor) -> Tensor:
        # A polynomial of sigma for the gain and one for the offset: smooth, as a network is.
        rows = [sum(weight * s**power for power, weight in enumerate(row)) for row in table]
        return flow.spread(rows[0], x) * x + flow.spread(rows[1], x)

    def student(x: Tensor, s: Tensor, table: Tensor = knots) -> Tensor:
        return gaussian_denoiser(x, s) + flow.spread(s, x) * correction(x, s, table)

    def error() -> float:
        noise = torch.randn(200, 1, 1, 1, generator=torch.Generator().manual_seed(1))
        one = torch.ones(200, 1)
        distance = student(noise, one) - gaussian_end_point(noise, one)
        return float(distance.detach().pow(2).mean().sqrt())

    start = error()
    average = knots.detach().clone()
    grid = consistency.sigma_grid(12)
    for step in range(150):
        clean = MEAN + STD * torch.randn(32, 4, 1, 1, generator=generator)
        noise = torch.randn(32, 4, 1, 1, generator=generator)
        normal = torch.randn(32, 4, generator=generator)
        ramp = consistency.ramp_at(step, hold=0, warmup=25)
        if recipe == "discrete":
            index = torch.randint(0, 12, (32, 4), generator=generator)
            loss = consistency.discrete_loss(
                student,
                gaussian_denoiser,
                lambda x, s: student(x, s, average),
                clean,
                noise,
                grid,
                index,
            )
        elif recipe == "rf":
            sigma = consistency.logit_normal(normal, 0.4, 1.6)
            loss, _ = consistency.rf_loss(student, gaussian_denoiser, clean, noise, sigma, ramp)
        else:
            angle = consistency.tan_normal(normal, 0.4, 1.6)
            loss, _ = consistency.trig_loss(student, gaussian_denoiser, clean, noise, angle, ramp)
        optimiser.zero_grad()
        loss.mean().backward()
        optimiser.step()
        average.lerp_(knots.detach(), 0.3)
        for group in optimiser.param_groups:
            group["lr"] = 0.08 * (1 - step / 150)
    assert start > 0.4  # the conditional mean at sigma 1 has no spread at all
    assert error() < 0.3 * start, f"{recipe}: {start:.3f} -> {error():.3f}"


def test_noise_levels_stay_inside_and_ramp_is_monotone() -> None:
    normal = torch.randn(4000, generator=torch.Generator().manual_seed(0)) * 10
    for values, top in (
        (consistency.logit_normal(normal, -0.8, 1.6), 1.0),
        (consistency.tan_normal(normal, 0.0, 1.6), math.pi / 2),
    ):
        assert values.min() >= 0.02 and values.max() <= top + 1e-6
    ramps = [consistency.ramp_at(step, hold=5, warmup=10) for step in range(30)]
    assert ramps[5] == 0 and ramps[15] == 1 and ramps == sorted(ramps)
