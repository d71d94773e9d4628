"""Consistency distillation as pure functions over callables: discrete, RF-native sCM, TrigFlow sCM.

A `Denoise` is any callable (noisy, sigma) -> clean prediction. Which context it sees (clean past
frames, actions, the recycled picture) is closed over by the caller, so the tangent of the context
is zero by construction: teacher forcing.

Everywhere `noisy` is (B, T, ...) and `sigma` (B, T): each frame has a noise level of its own, and
each frame is normalised on its own, or one frame at high noise would rescale all the others.

The consistency function f(noisy, sigma) is the clean end point of the probability-flow ODE that
goes through `noisy`. Its velocity is (noisy - f) / sigma.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from nfd_gym.diffusion.flow import interpolate, spread, velocity
from nfd_gym.errors import UsageError

Denoise = Callable[[Tensor, Tensor], Tensor]

# Added to the tangent's RMS before dividing by it (sCM and SANA-Sprint use 0.1).
TANGENT_FLOOR = 0.1


def frame_mean(value: Tensor, weight: Tensor | None = None) -> Tensor:
    """(B, T, ...) -> (B, T), the mean over everything inside a frame; `weight` per channel (C,)."""
    if weight is not None:
        value = value * weight
    return value.flatten(2).mean(-1)


# --- discrete consistency distillation (dCM), no JVP -------------------------------------------


def sigma_grid(steps: int, shift: float = 3.0) -> Tensor:
    """Noise levels 1 = s[0] > ... > s[steps] = 0; a shift above 1 crowds them towards noise."""
    if steps < 1:
        raise UsageError(f"a consistency grid needs at least 1 step, got {steps}")
    even = torch.linspace(1.0, 0.0, steps + 1)
    return shift * even / (1 + (shift - 1) * even)


def ode_step(noisy: Tensor, clean: Tensor, sigma: Tensor, next_sigma: Tensor) -> Tensor:
    """One Euler step of the probability-flow ODE, written without a division by small sigma."""
    return clean + spread(next_sigma / sigma, noisy) * (noisy - clean)


def discrete_target(
    teacher: Denoise, average: Denoise, noisy: Tensor, sigma: Tensor, next_sigma: Tensor
) -> Tensor:
    """What f(noisy, sigma) should be: the averaged student one teacher step further down.

    At next_sigma = 0 the target is the stepped frame itself, exactly. This boundary is what holds
    a pure x-prediction student, which satisfies no boundary condition of its own.
    """
    with torch.no_grad():
        stepped = ode_step(noisy, teacher(noisy, sigma), sigma, next_sigma)
        further = average(stepped, next_sigma)
        return torch.where(spread(next_sigma == 0, noisy), stepped, further)


def discrete_loss(
    student: Denoise,
    teacher: Denoise,
    average: Denoise,
    clean: Tensor,
    noise: Tensor,
    grid: Tensor,
    index: Tensor,
    huber: float = 0.0,
    weight: Tensor | None = None,
) -> Tensor:
    """(B, T) losses at grid positions `index` (B, T) in [0, steps); huber 0 is the squared error.

    Pseudo-Huber (Improved Consistency Training, eq. 7) is divided by its own scale so that the
    size of the loss does not depend on `huber` for small residuals.
    """
    sigma, next_sigma = grid[index], grid[index + 1]
    noisy = interpolate(clean, noise, sigma)
    target = discrete_target(teacher, average, noisy, sigma, next_sigma)
    squared = frame_mean((student(noisy, sigma) - target) ** 2, weight)
    if huber == 0:
        return squared
    return 2 * huber * (torch.sqrt(squared + huber**2) - huber)


# --- continuous: directional derivatives -------------------------------------------------------


def jvp(
    function: Denoise, primals: tuple[Tensor, Tensor], tangents: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Value and derivative along `tangents`, in fp32 whatever autocast says, without a graph.

    Half precision is useless here: the best relative error of a bf16 tangent was 10 % and more.
    Fused attention kernels have no forward mode; the caller switches them off.
    """
    device = primals[0].device.type
    with torch.no_grad(), torch.autocast(device, enabled=False):
        out = torch.func.jvp(function, primals, tangents)
    return out[0].detach(), out[1].detach()


def central_difference(
    function: Denoise,
    primals: tuple[Tensor, Tensor],
    tangents: tuple[Tensor, Tensor],
    step: float = 5e-3,
) -> Tensor:
    """The same derivative from two evaluations: the check of `jvp`, never used to train."""
    with torch.no_grad():
        ahead = function(primals[0] + step * tangents[0], primals[1] + step * tangents[1])
        behind = function(primals[0] - step * tangents[0], primals[1] - step * tangents[1])
    return (ahead - behind) / (2 * step)


def normalise_tangent(tangent: Tensor, floor: float = TANGENT_FLOOR) -> Tensor:
    """Each frame divided by its RMS + floor; a frame with a non-finite entry becomes zero.

    RMS with a mean loss, not the L2 norm: with the L2 norm the per-element size would shrink with
    the frame's size and gradient clipping would mean something else at every resolution.
    """
    finite = torch.isfinite(tangent.flatten(2)).all(-1)
    tangent = torch.where(spread(finite, tangent), tangent, torch.zeros_like(tangent))
    rms = frame_mean(tangent.double() ** 2).sqrt().to(tangent.dtype)
    return tangent / (spread(rms, tangent) + floor)


# --- RF-native sCM (Causal-rCM) ----------------------------------------------------------------


def rf_tangent(
    student: Denoise, teacher_velocity: Tensor, noisy: Tensor, sigma: Tensor, ramp: float
) -> Tensor:
    """What the student's velocity lacks. Zero when f is constant along the teacher's ODE.

    With J the total derivative of f along (teacher_velocity, 1) and v = (noisy - f) / sigma,
    d(sigma v)/dsigma = teacher_velocity - J, so at ramp 1 the residual of the consistency
    condition is J itself; at ramp 0 it is plain regression on the teacher's velocity.
    """
    value, change = jvp(student, (noisy, sigma), (teacher_velocity, torch.ones_like(sigma)))
    missing = teacher_velocity - velocity(value, noisy, sigma)
    return (1 - ramp) * missing + ramp * change


def rf_loss(
    student: Denoise,
    teacher: Denoise,
    clean: Tensor,
    noise: Tensor,
    sigma: Tensor,
    ramp: float,
    tangent_student: Denoise | None = None,
    weight: Tensor | None = None,
    floor: float = TANGENT_FLOOR,
) -> tuple[Tensor, Tensor]:
    """(B, T) losses and the (B, T) RMS of the raw tangent, which is the thing to watch: the
    normalised loss is flat by construction.

    The student must hold its own boundary f(x, 0) = x (v-form, or (1 - sigma) x + sigma D):
    with a free x-prediction nothing pins the solution and the training diverges.
    `tangent_student` is the same student with forward-mode-safe attention, if that differs.
    """
    noisy = interpolate(clean, noise, sigma)
    with torch.no_grad():
        teacher_velocity = velocity(teacher(noisy, sigma), noisy, sigma)
    raw = rf_tangent(tangent_student or student, teacher_velocity, noisy, sigma, ramp)
    wanted = normalise_tangent(raw, floor)
    value = student(noisy, sigma)
    # v moves along `wanted`, and f = noisy - sigma v against it. The difference is zero in value,
    # so dividing by sigma amplifies nothing.
    residual = (value - value.detach()) / spread(sigma, value) + wanted
    return frame_mean(residual**2, weight), frame_mean(raw**2).sqrt()


# --- TrigFlow (the paper's wrapper) ------------------------------------------------------------
# noisy_trig = cos(angle) clean + sin(angle) noise, the data scaled to `data_std`, and a network F
# with d noisy_trig / d angle = data_std F. Lossless for a flow-matching model (SANA-Sprint).


def angle_to_sigma(angle: Tensor) -> Tensor:
    sine, cosine = torch.sin(angle), torch.cos(angle)
    return sine / (sine + cosine)


def sigma_to_angle(sigma: Tensor) -> Tensor:
    return torch.atan2(sigma, 1 - sigma)


def trig_to_flow(noisy_trig: Tensor, angle: Tensor, data_std: float = 1.0) -> Tensor:
    """The flow-matching frame at sigma = angle_to_sigma(angle) that lies on the same ray."""
    return noisy_trig / (data_std * spread(torch.sin(angle) + torch.cos(angle), noisy_trig))


def flow_to_trig(noisy: Tensor, sigma: Tensor, data_std: float = 1.0) -> Tensor:
    return data_std * noisy / spread(torch.sqrt(sigma**2 + (1 - sigma) ** 2), noisy)


def trig_network(denoise: Denoise, data_std: float = 1.0) -> Denoise:
    """F(noisy_trig / data_std, angle) of a flow-matching model that predicts the clean frame.

    F = (cos(angle) X - clean) / sin(angle), which equals the usual
    [(1 - 2 sigma) x + (1 - 2 sigma + 2 sigma^2) v] / n and needs no case at sigma = 1/2.
    """

    def network(scaled: Tensor, angle: Tensor) -> Tensor:
        clean = denoise(trig_to_flow(scaled, angle), angle_to_sigma(angle))
        cosine, sine = torch.cos(angle), torch.sin(angle)
        return (spread(cosine, scaled) * scaled - clean) / spread(sine, scaled)

    return network


def flow_denoiser(network: Denoise, data_std: float = 1.0) -> Denoise:
    """The way back: the clean prediction of a TrigFlow network at a flow-matching frame."""

    def denoise(noisy: Tensor, sigma: Tensor) -> Tensor:
        angle = sigma_to_angle(sigma)
        scaled = flow_to_trig(noisy, sigma)
        cosine, sine = spread(torch.cos(angle), noisy), spread(torch.sin(angle), noisy)
        return cosine * scaled - sine * network(scaled, angle)

    return denoise


def trig_tangent(
    network: Denoise, teacher_direction: Tensor, scaled: Tensor, angle: Tensor, ramp: float
) -> Tensor:
    """sCM's g (arXiv 2410.11081, eq. 8 with the prior weight cos(angle)) in units of data_std.

    The factor cos sin sits inside the tangents ("JVP rearrangement"), which keeps them bounded at
    both ends of the path.
    """
    cosine, sine = torch.cos(angle), torch.sin(angle)
    both = cosine * sine
    value, change = jvp(network, (scaled, angle), (spread(both, scaled) * teacher_direction, both))
    missing = teacher_direction - value
    return spread(cosine**2, scaled) * missing - ramp * (spread(both, scaled) * scaled + change)


def trig_loss(
    student: Denoise,
    teacher: Denoise,
    clean: Tensor,
    noise: Tensor,
    angle: Tensor,
    ramp: float,
    tangent_student: Denoise | None = None,
    weight: Tensor | None = None,
    floor: float = TANGENT_FLOOR,
) -> tuple[Tensor, Tensor]:
    """sCM in TrigFlow over flow-matching networks: (B, T) losses and the raw tangent's RMS.

    `clean` has unit std (the tokenizer's latents have), so data_std is 1 here.
    """
    scaled = spread(torch.cos(angle), clean) * clean + spread(torch.sin(angle), clean) * noise
    network = trig_network(student)
    with torch.no_grad():
        direction = trig_network(teacher)(scaled, angle)
    raw = trig_tangent(trig_network(tangent_student or student), direction, scaled, angle, ramp)
    wanted = normalise_tangent(raw, floor)
    value = network(scaled, angle)
    residual = value - value.detach() - wanted
    return frame_mean(residual**2, weight), frame_mean(raw**2).sqrt()


# --- noise levels of the continuous losses -----------------------------------------------------


def logit_normal(normal: Tensor, mean: float, std: float, lowest: float = 0.02) -> Tensor:
    """Flow-matching noise levels from standard normals; Causal-rCM uses (-0.8, 1.6).

    Kept off 0, where a velocity is a difference of nearly equal frames divided by sigma.
    """
    return torch.sigmoid(mean + std * normal).clamp(lowest, 1.0)


def tan_normal(normal: Tensor, mean: float, std: float, lowest: float = 0.02) -> Tensor:
    """TrigFlow angles with ln tan(angle) ~ N(mean, std); NFD+ reports (0, 1.6)."""
    return torch.atan(torch.exp(mean + std * normal)).clamp(lowest, torch.pi / 2)


def ramp_at(step: int, hold: int, warmup: int) -> float:
    """Tangent warm-up: 0 for `hold` steps (regression on the teacher), then linear to 1."""
    return min(1.0, max(0.0, (step - hold) / max(1, warmup)))
