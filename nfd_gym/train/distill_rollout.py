"""What the student does alone: a free run on its own pictures, kept to learn from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfd_gym.diffusion.sample import bind, refine
from nfd_gym.model.carry import Heard, listen
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.recycle import turn
from nfd_gym.model.warp import warp
from nfd_gym.train.denoiser_step import Recycling, Window


@dataclass(frozen=True)
class FreeRun:
    """A rollout with what its last evaluations saw: one pass repeats them with a gradient."""

    pixels: Tensor  # (B, T, 3, H, W), rounded to bytes
    clean: Tensor  # (B, T, N, C)
    noisy: Tensor  # (B, T, N, C) inputs of the last step
    recycled: Tensor | None  # (B, T, N, C)
    sigma: float  # level of the last step

    def tail(self, frames: int) -> "FreeRun":
        """The last so many frames."""
        given = None if self.recycled is None else self.recycled[:, -frames:]
        pixels, clean, noisy = (part[:, -frames:] for part in (self.pixels, self.clean, self.noisy))
        return FreeRun(pixels, clean, noisy, given, self.sigma)


@torch.no_grad()
def free_run(
    student: Denoiser, recycling: Recycling, window: Window, levels: Sequence[float],
    random: torch.Generator,
) -> FreeRun:  # fmt: skip
    """Every frame made in len(levels) steps from the one before it, as a world in play does:
    decode, carry, round to bytes, warp, encode. Starts from the window's first frame."""
    cache = student.make_cache(len(window.actions))
    pixels, pitch = window.pixels[:, 0], window.pitch[:, 0]
    trail = recycling.begin(student, window)
    shown, made, inputs, given = [], [], [], []
    for i in range(window.actions.shape[1]):
        action, last = window.actions[:, i], pitch
        trail, around, recycled, pitch = recycling.before(trail, pixels, last, action)
        listening, heard = listen(student)
        predict = bind(listening, cache, action, recycled, last=levels[-1])
        noise = torch.randn(window.clean[:, i].shape, generator=random, device=recycling.device)
        inputs.append(noise)
        if len(levels) > 1:  # all steps but the last, without committing
            draft = refine(bind(student, cache, action, recycled), noise, levels[:-1])
            inputs[-1] = (1 - levels[-1]) * draft + levels[-1] * noise
        made.append(predict(inputs[-1], levels[-1]))
        given.append(recycled)
        pixels, trail = recycling.after(trail, around, last, action, made[-1], heard)
        shown.append(pixels)
    stacked = [one for one in given if one is not None]
    return FreeRun(
        pixels=torch.stack(shown, 1),
        clean=torch.stack(made, 1),
        noisy=torch.stack(inputs, 1),
        recycled=torch.stack(stacked, 1) if stacked else None,
        sigma=levels[-1],
    )


def repeat_last(student: Denoiser, run: FreeRun, window: Window) -> tuple[Tensor, Heard]:
    """The run's frames (B, T, N, C) again, in one pass that a gradient can follow: it reaches each
    frame's last step and the keys and values of the frames before, never through the pictures.
    Where frames are recycled, also what the student told about their motion."""
    sigma = torch.full(run.noisy.shape[:2], run.sigma, device=run.noisy.device)
    listening, heard = listen(student)
    return listening(run.noisy, sigma, window.actions, run.recycled), heard


def cut(window: Window, clips: int, frames: int) -> Window:
    """The first `clips` clips and `frames` learning frames of a window."""
    return replace(
        window,
        pixels=window.pixels[:clips, : frames + 1],
        latents=window.latents[:clips, : frames + 1],
        actions=window.actions[:clips, :frames],
        pitch=window.pitch[:clips, : frames + 1],
    )


def tail(window: Window, frames: int) -> Window:
    """The last so many learning frames of a window."""
    return replace(
        window,
        pixels=window.pixels[:, -frames - 1 :],
        latents=window.latents[:, -frames - 1 :],
        actions=window.actions[:, -frames:],
        pitch=window.pitch[:, -frames - 1 :],
    )


@torch.no_grad()
def seen_before(recycling: Recycling, window: Window) -> Tensor:
    """The real last frame of each frame (B, T, 3, H, W), turned by the command if the camera is
    known: what a critic compares a picture with."""
    last = window.pixels[:, :-1]
    if recycling.camera is None:
        return last
    flat = last.flatten(0, 1)
    dpitch, dyaw, _ = turn(window.pitch[:, :-1].flatten(), window.actions.flatten(0, 1))
    turned = warp(flat, dpitch, dyaw, window.pitch[:, :-1].flatten(), recycling.camera.fov_y)
    return turned.view_as(last)
