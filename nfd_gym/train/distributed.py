"""The only file that knows about several processes: `torchrun` sets the environment."""

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nfd_gym.errors import UsageError


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
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
            dist.init_process_group("cpu:gloo,cuda:nccl")  # numbers are agreed on by CPU tensors
        else:
            dist.init_process_group("gloo")
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
    gradients = [gradient for gradient in gradients if not _is_shared(gradient)]
    if not gradients:  # all shared: FSDP has averaged them
        return
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


def shard(model: nn.Module, team: Team) -> None:
    """FSDP2: every rank holds a share of each block's weights; for models that do not fit one GPU.

    Side effect: the parameters become DTensors; gradients are then averaged by FSDP itself.
    """
    blocks = getattr(model, "blocks", None)
    if team.ranks == 1 or blocks is None:
        raise UsageError(
            "loop.fsdp shares the denoiser's blocks out over several ranks; start it with "
            "`torchrun --nproc-per-node N -m nfd_gym train ... --stage denoiser --workers 1`."
        )
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    kind = next(model.parameters()).device.type
    mesh = init_device_mesh(kind, (team.ranks,))
    for part in (*blocks, model):
        fully_shard(part, mesh=mesh)
    for name in ("packed", "packed_features"):  # they run the model too, but not by its forward
        register_fsdp_forward_method(model, name)


def gather(tensor: Tensor) -> Tensor:
    """The whole of a shared tensor, on every rank; any other tensor as it is."""
    if not _is_shared(tensor):
        return tensor
    whole: Tensor = tensor.full_tensor()  # type: ignore[attr-defined]
    return whole


def place(tensor: Tensor, like: Tensor | None) -> Tensor:
    """This rank's share of a whole tensor, if `like` is shared; else the tensor as it is."""
    if like is None or not _is_shared(like):
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)


def _is_shared(tensor: Tensor) -> bool:
    if not (dist.is_available() and dist.is_initialized()):
        return False
    from torch.distributed.tensor import DTensor  # a second to import: only teams pay it

    return isinstance(tensor, DTensor)
