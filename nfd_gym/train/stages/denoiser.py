"""Stage: the denoiser, by flow matching with x-prediction on recorded views.

Mean squared error in the latents' own units (half-whitened: between squared pixels and equal
channels); noise levels are logit-normal, with a share at exactly 1, where one-step sampling starts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from nfd_gym.diffusion.flow import draw_sigma, interpolate
from nfd_gym.memory.rays import ray_waves
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.train.loop import Moment
from nfd_gym.train.stages.shards import ViewBatch


@dataclass(frozen=True, kw_only=True)
class FlowLoss:
    pure: float = 0.4  # share of frames at noise level exactly 1
    mean: float = 0.4  # of the logit-normal levels
    std: float = 1.2
    unseen: float = 1.0  # weight of tokens with unknown pixels


class DenoiserStage:
    name = "denoiser"

    def __init__(self, model: Denoiser, config: FlowLoss) -> None:
        self.model, self.config = model, config

    def loss(self, batch: ViewBatch, moment: Moment) -> tuple[Tensor, dict[str, float]]:
        config, random = self.config, moment.random
        batch = batch.to(next(self.model.parameters()).device)
        condition = conditions(self.model, batch)
        target = batch.target[:, None]
        sigma = draw_sigma(
            target.shape[:2], random, target.device, config.pure, config.mean, config.std
        )
        noise = torch.randn(target.shape, generator=random, device=target.device)
        noisy = interpolate(target, noise, sigma)
        out = self.model(noisy, sigma, batch.control[:, None], condition[:, None])
        error = (out.float() - target).square().mean(-1)[:, 0]  # (B,N)
        unseen = batch.masks[..., :16].amin(-1) == 0
        weight = torch.where(unseen, config.unseen, 1.0)
        with torch.no_grad():
            base = (batch.code - batch.target).square().mean(-1)
            one = sigma[:, 0] == 1
            logs = {"copy": base.mean().item()}
            for name, tokens in (("seen", ~unseen), ("unseen", unseen)):
                for level, chosen in (("1", one), ("mid", ~one)):
                    both = tokens & chosen[:, None]
                    if bool(both.any()):
                        logs[f"{name}_{level}"] = error[both].mean().item()
        return (error * weight).mean(), logs

    def picture(self, batch: ViewBatch) -> Tensor | None:
        return None


def conditions(model: Denoiser, batch: ViewBatch) -> Tensor:
    """Condition tokens (B,N,G) of a batch, as `world.step.condition_tokens` makes them."""
    config = model.config
    parts = [batch.code]
    if config.masks:
        parts.append(batch.masks[..., : 16 * config.masks])
    if config.rays:
        parts.append(ray_waves(batch.pose, config.tokens_h, config.tokens_w, config.fov_y))
    return torch.cat(parts, dim=-1)
