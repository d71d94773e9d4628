"""The only file that knows about several processes: `torchrun` sets the environment."""

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True)
class Team:
    rank: int = 0
    ranks: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0


def join() -> Team:
    """Join the process group that `torchrun` describes; alone, a team of one."""
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks == 1:
        return Team()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return Team(rank=dist.get_rank(), ranks=dist.get_world_size())


def leave(team: Team) -> None:
    if team.ranks > 1 and dist.is_initialized():
        dist.destroy_process_group()


def average_gradients(model: nn.Module, team: Team) -> None:
    """Mean of the gradients over all ranks, in place, one flat message.

    Explicit rather than DDP's hooks: a stage calls its model several times a step (self-context,
    teacher and student), which DDP does not allow, and one flat reduction of 40 MB costs the same.
    """
    if team.ranks == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= team.ranks
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def mean(value: float, team: Team) -> float:
    """Mean of a number over all ranks."""
    if team.ranks == 1:
        return value
    box = torch.tensor([value], dtype=torch.float64)
    dist.all_reduce(box)
    return float(box) / team.ranks


def agree(flag: bool, team: Team) -> bool:
    """True everywhere once any rank says so: ranks must stop at the same step."""
    if team.ranks == 1:
        return flag
    box = torch.tensor([float(flag)])
    dist.all_reduce(box, op=dist.ReduceOp.MAX)
    return bool(box.item())


def shard(model: nn.Module, team: Team) -> nn.Module:
    """FSDP2: every block holds a share of its weights (several GPUs; for models that do not fit one)."""
    if team.ranks == 1:
        raise ValueError(
            "--fsdp needs several ranks; start with `torchrun --nproc-per-node N -m nfd_gym train ...`"
        )
    from torch.distributed.fsdp import fully_shard

    for block in getattr(model, "blocks", []):
        fully_shard(block)
    fully_shard(model)
    return model
