"""Stage: the student of a world with chance, by regression on where the teacher's flow ends.

From the same noise the teacher takes its many small steps to a frame, which the student shall reach
in few large ones. So every choice, a creature's way say, is a function of the noise that the
student learns as it is, and stays as likely; the recorded frame would teach it the mean.
The last frame of every clip is drawn; those before it are in the cache, as in play.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from nfd_gym.diffusion.flow import interpolate
from nfd_gym.diffusion.sample import sample_frame
from nfd_gym.model.cache import FrameCache
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train.loop import Moment
from nfd_gym.train.stages.clips import FlatBody, draw
from nfd_gym.train.stages.restless import Restless
from nfd_gym.train.stages.tokens import TokenBatch, TokenLoss, TokenStage


@dataclass(frozen=True, kw_only=True)
class DistilLoss:
    teacher: tuple[float, ...]  # its noise levels
    method: str = "dpm"  # its solver
    sigmas: tuple[float, ...] = (1.0, 0.6)  # the student's levels, at which it is played
    # root mean square of a token's error above which it counts by its size and no longer by its
    # square: where a net cannot tell which of two ends a noise has, it takes one, not their mean
    robust: float = 0.03
    own: float = 0.3  # share of batches with views that the teacher drew
    minutes: float = 40.0
    lr: float = 1e-3


class DistilStage(TokenStage):
    """A `TokenStage` whose model is the student; `teacher` is frozen."""

    name = "student"

    def __init__(
        self, model: Denoiser, teacher: Denoiser, tokenizer: Tokenizer, config: DistilLoss,
        body: FlatBody, restless: Restless, inside: int,
    ) -> None:  # fmt: skip
        super().__init__(model, tokenizer, TokenLoss(), body, restless, inside)
        self.teacher, self.distil = teacher.eval().requires_grad_(False), config

    def loss(self, batch: TokenBatch, moment: Moment) -> tuple[Tensor, dict[str, float]]:
        config, random = self.distil, moment.random
        control, view = self.control(batch, random), self.blurred(batch, random)
        if draw(random) < config.own:
            view = self.redrawn(batch, view, control, random, self.teacher)
        condition = self.condition(view, batch)
        noise = torch.randn(batch.target.shape, generator=random)

        def past(model: Denoiser, level: float) -> FrameCache:
            """The frames before the last one, as a session leaves them: noisy beside a view, exact
            without one."""
            level = level if self.model.config.condition else 0.0
            cache, count = model.make_cache(len(noise)), noise.shape[1] - 1
            sigma = torch.full(noise[:, :-1].shape[:2], level)
            noisy = interpolate(batch.target[:, :-1], noise[:, :-1], sigma)
            told = None if condition is None else condition[:, :-1]
            model(noisy, sigma, control[:, :-1], told, cache, count)
            return cache

        told = None if condition is None else condition[:, -1:]
        with torch.no_grad():
            end = sample_frame(
                self.teacher, past(self.teacher, config.teacher[-1]), control[:, -1],
                None if told is None else told[:, 0], noise[:, -1], config.teacher, "noisy",
                config.method,
            )  # fmt: skip
            cache = past(self.model, config.sigmas[-1])
        weight = self.weight(batch)[:, -1]
        total, logs, clean = torch.zeros(()), {}, end[:, None]
        for level in config.sigmas:  # as `diffusion.sample.refine`
            sigma = torch.full((len(noise), 1), level)
            noisy = interpolate(clean.detach(), noise[:, -1:], sigma)
            clean = self.model(noisy, sigma, control[:, -1:], told, cache)
            error = (clean[:, 0] - end).square().mean(-1)
            total = total + (pseudo_huber(error, config.robust) * weight).mean()
            logs[f"at_{level:g}"] = error.mean().item()
        return total, logs


def pseudo_huber(square: Tensor, width: float) -> Tensor:
    """Mean square errors (...,) as they are while their root is far below `width`, 2 * width times
    their root far above it."""
    return 2 * width * ((square + width**2).sqrt() - width)
