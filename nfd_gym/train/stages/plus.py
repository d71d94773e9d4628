"""Stage: NFD+, the paper's student of few steps: consistency distillation and an adversarial loss.

The student learns where the teacher's flow ends from every noise level (sCM in TrigFlow), under
teacher forcing: each noisy frame sees the recorded frames before it. A critic on the frozen
teacher's features compares recorded frames with the student's, both noised again; its pull is a
share of the other's.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfd_gym.diffusion.adversarial import (
    FeatureCritic,
    balanced,
    critic_accuracy,
    hinge_critic,
    hinge_generator,
    rolled_actions,
)
from nfd_gym.diffusion.consistency import ramp_at, tan_normal, trig_loss
from nfd_gym.diffusion.flow import draw_sigma, interpolate
from nfd_gym.model.attention import eager
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train.loop import Moment
from nfd_gym.train.stages.clips import FlatBody
from nfd_gym.train.stages.restless import Restless
from nfd_gym.train.stages.tokens import TokenBatch, TokenLoss, TokenStage

PARTS = 1000  # of a training, for the warm-up of tangents


@dataclass(frozen=True, kw_only=True)
class PlusLoss:
    sigmas: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25)  # at which the student is played
    mean: float = 0.0  # of the logarithm of the angles' tangent; the paper's
    std: float = 1.6
    hold: float = 0.1  # share of the training before tangents begin to count
    warmup: float = 0.3  # share over which they do
    share: float = 0.2  # size of the critic's pull beside that of consistency; 0: no critic
    critic_from: float = 0.3  # share of the training after which it pulls
    blocks: tuple[int, ...] = (2, 5)  # of the teacher, whose features the critic sees
    minutes: float = 40.0
    lr: float = 3e-4


class StudentAndCritic(nn.Module):
    """What is trained; checkpoints hold both."""

    def __init__(self, student: Denoiser, critic: FeatureCritic) -> None:
        super().__init__()
        self.student, self.critic, self.config = student, critic, student.config


class PlusStage(TokenStage):
    """`teacher` is frozen."""

    name = "student"

    def __init__(
        self, student: Denoiser, teacher: Denoiser, tokenizer: Tokenizer, config: PlusLoss,
        body: FlatBody, restless: Restless, inside: int,
    ) -> None:  # fmt: skip
        super().__init__(student, tokenizer, TokenLoss(), body, restless, inside)
        sizes = student.config
        critic = FeatureCritic(sizes.width, (sizes.tokens_h, sizes.tokens_w), len(config.blocks))
        self.student, self.plus = student, config
        self.teacher = teacher.eval().requires_grad_(False)
        self.model = StudentAndCritic(student, critic)
        self.critic = critic

    def loss(self, batch: TokenBatch, moment: Moment) -> tuple[Tensor, dict[str, float]]:
        config, random, clean = self.plus, moment.random, batch.target
        control, view = self.control(batch, random), self.blurred(batch, random)
        condition = self.condition(view, batch)
        exact = clean.new_zeros(clean.shape[:2])
        drawn: list[Tensor] = []

        def teacher(noisy: Tensor, sigma: Tensor) -> Tensor:
            return self.teacher.packed(clean, noisy, exact, sigma, control, condition)

        def student(noisy: Tensor, sigma: Tensor) -> Tensor:
            drawn.append(self.student.packed(clean, noisy, exact, sigma, control, condition))
            return drawn[-1]

        def differentiable(noisy: Tensor, sigma: Tensor) -> Tensor:
            with eager():
                return self.student.packed(clean, noisy, exact, sigma, control, condition)

        noise = torch.randn(clean.shape, generator=random)
        normal = torch.randn(clean.shape[:2], generator=random)
        angle = tan_normal(normal, config.mean, config.std)
        parts = (int(PARTS * share) for share in (moment.progress, config.hold, config.warmup))
        losses, tangent = trig_loss(
            student, teacher, clean, noise, angle, ramp_at(*parts), differentiable,
            self.weight(batch)[..., None],
        )  # fmt: skip
        main = losses.mean()
        logs = {"consistency": main.item(), "tangent": tangent.mean().item()}
        if config.share == 0:
            return main, logs
        fake = drawn[0]
        pull, judged, more = self.judged(fake, batch, control, condition, random)
        if moment.progress >= config.critic_from:
            main = balanced(fake, main, pull, config.share)
        return main + judged, logs | more

    def judged(
        self, fake: Tensor, batch: TokenBatch, control: Tensor, condition: Tensor | None,
        random: torch.Generator,
    ) -> tuple[Tensor, Tensor, dict[str, float]]:  # fmt: skip
        """The student's adversarial loss, the critic's own, and how often the critic is right."""
        clean = batch.target
        again = draw_sigma(clean.shape[:2], random, "cpu", pure=0.0)
        noise = torch.randn(clean.shape, generator=random)
        exact = clean.new_zeros(again.shape)

        def features(frames: Tensor, told: Tensor) -> list[Tensor]:
            noisy = interpolate(frames, noise, again)
            return self.teacher.packed_features(
                clean, noisy, exact, again, told, condition, self.plus.blocks
            )[1]

        with torch.no_grad():
            others, differ = rolled_actions(control)
            seen, borrowed = features(clean, control), features(clean, others)
        through = features(fake, control)
        real, drawn = self.critic(seen), self.critic([f.detach() for f in through])
        judged = hinge_critic(real, drawn, self.critic(borrowed)[:, differ])
        self.critic.requires_grad_(False)
        pull = hinge_generator(self.critic(through))
        self.critic.requires_grad_(True)
        return pull, judged, {"critic": critic_accuracy(real, drawn)}
