"""Failure signs of a distillation (recipe.md 10), measured on fixed recordings and printed.

The consistency losses say little: the continuous ones are flat by construction and the discrete
one falls when the student collapses too. So the student is sampled: one step ahead against the
recording and against the teacher's own 18-step picture from the same noise, and alone for a whole
window.
"""

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from nfd_gym.diffusion import consistency
from nfd_gym.diffusion.sample import integrate, refine
from nfd_gym.model import attention
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.train.denoiser_step import Recycling, Window
from nfd_gym.train.distill_rollout import free_run
from nfd_gym.train.distill_settings import LEVELS
from nfd_gym.train.tokenizer_step import gradient_difference

Figures = dict[str, float]


class Watch:
    """Holds what does not change: the recordings, the noise, the teacher's pictures."""

    def __init__(
        self, teacher: Denoiser, recycling: Recycling, window: Window, steps: tuple[int, ...],
        weight: Tensor, teacher_steps: int = 18,
    ) -> None:  # fmt: skip
        self.recycling, self.window, self.steps, self.weight = recycling, window, steps, weight
        random = torch.Generator(recycling.device).manual_seed(0)
        clean = window.clean
        self.noise = torch.randn(clean.shape, generator=random, device=recycling.device)
        self.recycled = recycling.given(window.pixels[:, :-1], window)
        self.real = window.pixels[:, 1:]
        with torch.no_grad():
            self.end = integrate(self._view(teacher), self.noise, teacher_steps)
        self.figures: Figures = {
            "teacher_psnr": psnr(self._draw(self.end), self.real),
            "teacher_edge": edge(self._draw(self.end)) / edge(self.real),
        }
        self.history: list[Figures] = []

    @torch.no_grad()
    def measure(self, student: Denoiser) -> Figures:
        figures = dict(self.figures)
        for steps in self.steps:
            levels = LEVELS[steps]
            ahead = refine(self._view(student), self.noise, levels)
            drawn = self._draw(ahead)
            figures[f"psnr_{steps}"] = psnr(drawn, self.real)
            figures[f"edge_{steps}"] = edge(drawn) / edge(self.real)
            away = consistency.frame_mean((ahead - self.end) ** 2, self.weight).mean()
            figures[f"from_teacher_{steps}"] = away.sqrt().item()
            random = torch.Generator(self.recycling.device).manual_seed(0)
            run = free_run(student, self.recycling, self.window, levels, random)
            figures[f"run_psnr_{steps}"] = psnr(run.pixels[:, -1:], self.real[:, -1:])
            figures[f"run_edge_{steps}"] = edge(run.pixels[:, -1:]) / edge(self.real[:, -1:])
            spread = run.clean[:, -1].std() / self.window.clean[:, -1].std()
            figures[f"run_std_{steps}"] = spread.item()
        self.history.append(figures)
        return figures

    def signs(self) -> list[str]:
        return signs(self.history, self.steps)

    def _view(self, net: Denoiser) -> Callable[[Tensor, float], Tensor]:
        """All frames of the windows at one noise level, each with its real last frame recycled."""
        actions, recycled = self.window.actions, self.recycled

        def predict(noisy: Tensor, sigma: float) -> Tensor:
            level = torch.full(noisy.shape[:2], sigma, device=noisy.device)
            out: Tensor = net(noisy, level, actions, recycled)
            return out

        return predict

    def _draw(self, latents: Tensor) -> Tensor:
        return self.recycling.decoded(latents)


def psnr(picture: Tensor, real: Tensor) -> float:
    return 10 * math.log10(4 / max(1e-10, (picture - real).square().mean().item()))


def edge(pixels: Tensor) -> float:
    """Mean absolute neighbour difference: what blur loses first."""
    flat = pixels.flatten(0, 1)
    return gradient_difference(flat, torch.zeros_like(flat)).item()


def signs(history: list[Figures], steps: tuple[int, ...]) -> list[str]:
    """One sentence per failure sign of the last measurement."""
    now, first = history[-1], history[0]
    found = []
    for fewer, more in itertools.pairwise(steps):
        if now[f"psnr_{more}"] < now[f"psnr_{fewer}"] - 0.3:
            found.append(f"{more} steps are worse than {fewer}: ship {fewer} or move the level")
    for count in steps:
        grown = now[f"from_teacher_{count}"] / max(first[f"from_teacher_{count}"], 1e-9)
        if len(history) > 1 and grown > 1.15:
            found.append(
                f"{count}-step pictures move away from the teacher's ({grown:.2f}x): a target net "
                "that is too slow or too fast, or too strong a critic"
            )
        if not 0.8 < now[f"run_std_{count}"] < 1.25:
            found.append(
                f"latents of a {count}-step free run have {now[f'run_std_{count}']:.2f}x the real "
                "spread: below 1 mean regression, above 1 overshoot"
            )
        if now[f"run_edge_{count}"] < 0.7 * now[f"edge_{count}"]:
            found.append(f"{count}-step free runs lose their edges: more loss.own or loss.rollout")
    return found


def line(when: str, figures: Figures, steps: tuple[int, ...]) -> str:
    """The measurement as one line of text."""
    teacher, sharp = figures["teacher_psnr"], figures["teacher_edge"]
    parts = [f"watch {when}: teacher {teacher:.2f} dB, edge {sharp:.2f}"]
    for n in steps:
        ahead = f"{figures[f'psnr_{n}']:.2f} dB, edge {figures[f'edge_{n}']:.2f}"
        away = f"from teacher {figures[f'from_teacher_{n}']:.3f}"
        alone = f"{figures[f'run_psnr_{n}']:.2f} dB, edge {figures[f'run_edge_{n}']:.2f}"
        spread = f"std {figures[f'run_std_{n}']:.2f}"
        parts.append(f"{n} step{'s' * (n > 1)} {ahead}, {away}, alone {alone}, {spread}")
    return " | ".join(parts)


def tangent_error(view: consistency.Denoise, noisy: Tensor, sigma: Tensor) -> float:
    """Relative difference of the forward-mode derivative and fp32 central differences."""
    tangents = (torch.ones_like(noisy), torch.ones_like(sigma))
    with attention.eager():
        _, exact = consistency.jvp(view, (noisy, sigma), tangents)
    approximate = consistency.central_difference(view, (noisy, sigma), tangents)
    return float((exact - approximate).norm() / approximate.norm().clamp_min(1e-9))


class Alarm:
    """Slow averages of what each step logs; says once per 200 steps when one leaves its range."""

    def __init__(self) -> None:
        self.means: Figures = {}
        self.told: Figures = {}

    def hear(self, step: int, logs: Figures) -> list[str]:
        found = []
        for key, value in logs.items():
            old = self.means.setdefault(key, value)
            if key == "tangent" and step > 20 and value > 10 * old:
                found.append(
                    (key, f"the tangent jumped from {old:.3g} to {value:.3g}: lower the lr")
                )
            self.means[key] = old + 0.02 * (value - old)
            if key.endswith("_accuracy") and step > 200 and self.means[key] > 0.9:
                found.append(
                    (key, f"{key} {self.means[key]:.2f}: the critic has won; lower its pull or lr")
                )
        fresh = [(key, text) for key, text in found if step - self.told.get(key, -200) >= 200]
        self.told |= {key: step for key, _ in fresh}
        return [text for _, text in fresh]
