"""Stage: the student of a world with chance, by discrete consistency distillation on tokens.

The student learns where the teacher's flow through a noisy frame ends: its prediction must be that
of its own average one teacher step further down. Then a few large steps land where the teacher's
many small ones do, chance included; a mean would not.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call

from nfd_gym.diffusion.consistency import Denoise, discrete_loss, sigma_grid
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train.loop import Moment
from nfd_gym.train.stages.clips import FlatBody, draw
from nfd_gym.train.stages.restless import Restless
from nfd_gym.train.stages.tokens import TokenBatch, TokenLoss, TokenStage


@dataclass(frozen=True, kw_only=True)
class DistilLoss:
    steps: int = 12  # of the teacher from pure noise to the picture
    shift: float = 2.0  # above 1: more of them near pure noise
    pure: float = 0.3  # share of frames at noise level 1
    own: float = 0.3  # share of batches with views that the student drew
    minutes: float = 20.0
    lr: float = 1e-3


class DistilStage(TokenStage):
    """A `TokenStage` whose model is the student; `teacher` is frozen."""

    name = "student"

    def __init__(
        self, model: Denoiser, teacher: Denoiser, tokenizer: Tokenizer, config: DistilLoss,
        body: FlatBody, restless: Restless,
    ) -> None:  # fmt: skip
        super().__init__(model, tokenizer, TokenLoss(), body, restless)
        self.teacher, self.distil = teacher.eval().requires_grad_(False), config
        self.grid = sigma_grid(config.steps, config.shift)

    def loss(self, batch: TokenBatch, moment: Moment) -> tuple[Tensor, dict[str, float]]:
        config, random = self.distil, moment.random
        control, view = self.control(batch), self.blurred(batch, random)
        if draw(random) < config.own:
            view = self.redrawn(batch, view, control, random)
        condition = self.condition(view, batch.age)
        shape = batch.target.shape[:2]
        index = torch.randint(config.steps, shape, generator=random)
        index = torch.where(torch.rand(shape, generator=random) < config.pure, 0, index)
        noise = torch.randn(batch.target.shape, generator=random)

        def by(model: Denoiser, weights: dict[str, Tensor] | None = None) -> Denoise:
            if weights is None:
                return lambda noisy, sigma: model(noisy, sigma, control, condition)
            return lambda noisy, sigma: functional_call(
                model, weights, (noisy, sigma, control, condition)
            )

        error = discrete_loss(
            by(self.model), by(self.teacher), by(self.model, moment.ema), batch.target, noise,
            self.grid, index,
        )  # fmt: skip
        logs = {
            name: error[chosen].mean().item()
            for name, chosen in (("1", index == 0), ("mid", index > 0))
            if bool(chosen.any())
        }
        return error.mean(), logs
