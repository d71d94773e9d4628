"""TeamPPO: data-parallel PPO, one policy replica and one batch of lanes per process."""

import math
from typing import Any

import torch
import torch.distributed as dist
from stable_baselines3 import PPO

from nfd_gym.errors import UsageError
from nfd_gym.train.distributed import Team, average_gradients


class TeamPPO(PPO):
    """PPO whose gradients are averaged over all processes before every step; alone it is PPO.

    Replicas begin equal (rank 0's weights are sent round) and stay equal, because every rank
    applies the same averaged gradient. `max_grad_norm` limits that average, as it would limit one
    process with all the lanes. Advantages are normalized per rank, over its own minibatch.
    """

    def __init__(self, *arguments: Any, team: Team = Team(), **named: Any) -> None:  # noqa: B008
        if team.ranks > 1 and named.get("target_kl") is not None:
            raise UsageError(
                "target_kl would stop ranks at different steps; leave it out under torchrun."
            )
        self.team = team
        super().__init__(*arguments, **named)

    def _setup_model(self) -> None:
        super()._setup_model()
        if self.team.ranks > 1:
            for part in self.policy.state_dict().values():
                dist.broadcast(part, src=0)
            self.policy.optimizer.register_step_pre_hook(self._share)

    def train(self) -> None:
        if self.team.ranks == 1:
            return super().train()
        limit, self._limit = self.max_grad_norm, self.max_grad_norm
        self.max_grad_norm = (
            math.inf
        )  # SB3 limits before the step; the average is limited in the hook
        try:
            super().train()
        finally:
            self.max_grad_norm = limit

    def _share(self, *_: Any) -> None:
        average_gradients(self.policy, self.team)
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self._limit)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "team", "_limit"]


def fingerprint(model: PPO) -> float:
    """A number that is the same on two ranks only if their weights are."""
    parts = [part.double() for part in model.policy.state_dict().values()]
    return float(sum((part.flatten() * torch.arange(1, part.numel() + 1)).sum() for part in parts))
