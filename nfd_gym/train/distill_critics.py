"""The critics' part of a distillation step."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from nfd_gym.diffusion import adversarial, consistency
from nfd_gym.diffusion.flow import interpolate
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.train.denoiser_step import Recycling, Window
from nfd_gym.train.distill_rollout import cut, seen_before
from nfd_gym.train.distill_settings import DistillLoss
from nfd_gym.train.loop import Moment


class Duel(nn.Module):
    """The student and its critics, so that one loop trains, averages and stores them together."""

    def __init__(self, student: Denoiser, config: DistillLoss) -> None:
        super().__init__()
        self.student = student
        self.pixel_critic: nn.Module | None = None
        self.feature_critic: nn.Module | None = None
        sizes = student.config
        if config.pixel_share:
            self.pixel_critic = adversarial.PixelCritic(sizes.action_width)
        if config.feature_share:
            grid = (sizes.tokens_h, sizes.tokens_w)
            self.feature_critic = adversarial.FeatureCritic(
                sizes.width, grid, len(watched_blocks(sizes.depth))
            )
        for critic in (self.pixel_critic, self.feature_critic):
            for parameter in critic.parameters() if critic is not None else ():
                parameter.lr_scale = 3.0  # type: ignore[attr-defined]  # read by optim.make_optimisers


def watched_blocks(depth: int) -> list[int]:
    """Every second or third block of the teacher, the last one included."""
    return sorted({depth - 1, *range(1, depth, max(2, depth // 3))})


class Critics:
    def __init__(
        self, duel: Duel, teacher: Denoiser, recycling: Recycling, config: DistillLoss, device: str
    ) -> None:
        self.duel, self.teacher, self.recycling = duel, teacher, recycling
        self.config, self.device = config, device

    def add(
        self, main: Tensor, prediction: Tensor, window: Window, moment: Moment,
        logs: dict[str, float], alone: bool = False,
    ) -> Tensor:  # fmt: skip
        """The loss with both critics' pull on `prediction` and their own losses; fills `logs`.

        `alone` judges pixels without the frame before them.
        """
        total, clips = main, self.config.critic_clips
        part = cut(window, clips, window.actions.shape[1])
        pixels = partial(self._pixel_judge, alone=alone)
        rolled, differs = adversarial.rolled_actions(part.actions)
        for name, critic, share, judge in (
            ("pixel", self.duel.pixel_critic, self.config.pixel_share, pixels),
            ("feature", self.duel.feature_critic, self.config.feature_share, self._feature_judge),
        ):
            if critic is None:
                continue
            # Wrong actions in half of the updates: they cost a third pass, and where the recording
            # holds a key for seconds there are few of them.
            verdict = judge(critic, part, moment.random)
            if moment.step >= self.config.critic_from:
                critic.requires_grad_(False)
                pull = adversarial.hinge_generator(verdict(prediction[:clips], part.actions))
                critic.requires_grad_(True)
                total = total + adversarial.balanced(prediction, main, pull, share) - main
            with torch.no_grad():
                fake_latents, real_latents = prediction[:clips].detach(), part.clean
            fake = verdict(fake_latents, part.actions)
            real = verdict(real_latents, part.actions)
            wrong = None
            if moment.step % 2 and differs.any() and not alone:
                wrong = verdict(real_latents, rolled).movedim(0, -1)[differs]
            total = total + adversarial.hinge_critic(real, fake, wrong)
            logs[f"{name}_accuracy"] = adversarial.critic_accuracy(real, fake)
            if wrong is not None:
                logs[f"{name}_action_accuracy"] = adversarial.critic_accuracy(real, wrong)
        return total

    def _pixel_judge(
        self, critic: nn.Module, window: Window, random: torch.Generator, alone: bool
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """(latents, actions) -> logits (P, B, T). Real frames are judged after the tokenizer's
        round trip: what the decoder cannot draw, the denoiser cannot be blamed for."""
        last = seen_before(self.recycling, window).flatten(0, 1)
        last = torch.zeros_like(last) if alone else last

        def verdict(latents: Tensor, actions: Tensor) -> Tensor:
            pixels = self.recycling.tokenizer.decode_unclamped(latents.flatten(0, 1))
            logits: Tensor = critic(pixels, last, actions.flatten(0, 1))
            return logits.view(*latents.shape[:2], -1).movedim(-1, 0)

        return verdict

    def _feature_judge(
        self, critic: nn.Module, window: Window, random: torch.Generator
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """(latents, actions) -> logits (P, B, T) on the frozen teacher's features. Both sides are
        noised again with the same noise, ln(sigma / (1 - sigma)) ~ N(-0.6, 1) (SANA-Sprint)."""
        clean = window.clean
        normal = torch.randn(clean.shape[:2], generator=random, device=self.device)
        sigma = consistency.logit_normal(normal, -0.6, 1.0)
        noise, other = torch.randn((2, *clean.shape), generator=random, device=self.device)
        quiet = torch.full_like(sigma, 0.1)
        context = interpolate(clean, other, quiet)
        recycled = self.recycling.given(window.pixels[:, :-1], window)
        blocks = watched_blocks(self.teacher.config.depth)

        def verdict(latents: Tensor, actions: Tensor) -> Tensor:
            noisy = interpolate(latents, noise, sigma)
            features = self.teacher.features(
                context, noisy, quiet, sigma, actions, recycled, blocks
            )
            logits: Tensor = critic(features)  # (heads, B, T, N)
            return logits.movedim(-1, 1).flatten(0, 1)

        return verdict
