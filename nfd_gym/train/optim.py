"""Optimisers, learning-rate schedule and weight averaging."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from nfd_gym.train.distributed import gather, place
from nfd_gym.train.muon import Muon


def make_optimisers(
    model: nn.Module, lr: float, muon: bool = True, decay: float = 0.01
) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for everything else.

    Hidden are the matrices of a model's `blocks`, without the adaLN ones. Muon's updates are
    matched to AdamW's in size, so both take one learning rate. A parameter may carry `lr_scale`.
    """
    hidden: list[nn.Parameter] = []
    rest: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_hidden = (
            muon and parameter.ndim == 2 and ".blocks." in "." + name and "modulation" not in name
        )
        if is_hidden:
            hidden.append(parameter)
        else:
            rest.setdefault(getattr(parameter, "lr_scale", 1.0), []).append(parameter)
    groups = [
        {"params": parameters, "lr": lr * scale} for scale, parameters in sorted(rest.items())
    ]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    ]
    if hidden:
        optimisers.append(Muon(hidden, lr=lr, decay=decay))
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["peak_lr"] = group["lr"]
    return optimisers


def schedule(
    progress: float, step: int, warmup: int = 50, cooldown: float = 0.3, floor: float = 0.02
) -> float:
    """Warm up, stay, and fall linearly over the last `cooldown` of the run (WSD): a run can be
    prolonged from its plateau. `progress` is the share of the budget that is spent, 0..1."""
    warm = min(1.0, (step + 1) / warmup)
    fall = min(1.0, (1.0 - min(progress, 1.0)) / cooldown) if cooldown > 0 else 1.0
    return warm * (floor + (1.0 - floor) * fall)


def set_lr(optimisers: Iterable[torch.optim.Optimizer], factor: float) -> None:
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["peak_lr"] * factor


class EMA:
    """Running average of the weights; a young one follows fast, so short runs forget the start."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {key: value.detach().clone() for key, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        for key, value in model.state_dict().items():
            average = self.weights[key]
            if average.dtype.is_floating_point:
                average.lerp_(value, 1.0 - decay)
            else:
                average.copy_(value)

    def load(self, weights: dict[str, Tensor]) -> None:
        for key, average in self.weights.items():
            average.copy_(place(weights[key], average))


def gradient_norm(model: nn.Module, limit: float) -> float:
    """Clip to `limit` and return the norm before; not finite means the step must be skipped."""
    norm = nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], limit)
    return float(gather(norm))


def is_finite(value: Any) -> bool:
    return math.isfinite(float(value))
