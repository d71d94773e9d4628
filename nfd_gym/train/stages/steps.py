"""Stage: the body of a player who walks from tile to tile, on the recorded steps and hours."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfd_gym.model.clock import Clock
from nfd_gym.model.steps import StepBody, StepConfig
from nfd_gym.progress import Progress
from nfd_gym.train.stages import events

MOST, BATCH, STEPS, RATE = 60_000, 512, 4000, 2e-3


def fit(folder: Path, config: StepConfig, seed: int = 0, count: int = STEPS) -> StepBody:
    """A body fitted to the decoded frames in a folder (see `stages.frames.decode`)."""
    torch.manual_seed(seed)
    body = StepBody(config)
    inputs, made = tries(folder, body, seed)
    descend(
        body.free, len(inputs), seed, count,
        lambda rows: F.binary_cross_entropy_with_logits(body.logits(inputs[rows]), made[rows]),
    )  # fmt: skip
    if body.clock is not None:
        clock, (seen, hours) = body.clock, times(folder, body.clock, seed)
        descend(
            clock.hours, len(seen), seed, count,
            lambda rows: F.cross_entropy(clock.logits(seen[rows]), hours[rows]),
        )  # fmt: skip
    if body.events is not None:
        events.fit(folder, body, seed, descend)
    return body.eval().requires_grad_(False)


def descend(
    net: nn.Module, size: int, seed: int, count: int, loss_of: Callable[[Tensor], Tensor]
) -> None:
    """Side effect: `net` after `count` steps down the loss of random rows below `size`."""
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-3)
    random = torch.Generator().manual_seed(seed)
    with Progress(count, "steps") as bar:
        for number in range(count):
            for group in optimiser.param_groups:
                group["lr"] = RATE * (1 - number / count)
            loss = loss_of(torch.randint(size, (min(BATCH, size),), generator=random))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            bar.add()


@torch.no_grad()
def tries(folder: Path, body: StepBody, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs (N,·) of at most MOST commanded steps, and whether they were made (N,)."""
    frames = np.load(folder / "frames.npy", mmap_mode="r", allow_pickle=False)
    actions = np.load(folder / "actions.npy", allow_pickle=False)
    poses = np.load(folder / "poses.npy", allow_pickle=False)
    lengths = np.array(json.loads((folder / "lengths.json").read_text()))
    asked = body.commanded(torch.from_numpy(actions)).abs().sum(1).numpy() > 0
    asked[np.cumsum(lengths) - lengths] = False  # what came before a clip's first frame is unknown
    rows = np.flatnonzero(asked)
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST, replace=False))
    moved = np.abs(poses[rows, :2] - poses[rows - 1, :2]).sum(1) > 0
    inputs = [
        body.inputs(
            torch.from_numpy(frames[part - 1]), torch.from_numpy(actions[part])
        )
        for part in np.array_split(rows, max(1, len(rows) // 1024))
    ]  # fmt: skip
    return torch.cat(inputs), torch.from_numpy(moved.astype(np.float32))


@torch.no_grad()
def times(folder: Path, clock: Clock, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs (N,·) of the clock at random rows, and their hours (N,)."""
    frames = np.load(folder / "frames.npy", mmap_mode="r", allow_pickle=False)
    poses = np.load(folder / "poses.npy", allow_pickle=False)
    lengths = np.array(json.loads((folder / "lengths.json").read_text()))
    second = np.ones(len(poses), bool)
    second[np.cumsum(lengths) - lengths] = False
    rows = np.flatnonzero(second)
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST, replace=False))
    inputs = [
        clock.inputs(torch.from_numpy(np.stack([frames[part - 1], frames[part]], 1)))
        for part in np.array_split(rows, max(1, len(rows) // 512))
    ]
    return torch.cat(inputs), clock.hour(torch.from_numpy(poses[rows, 2]))


@torch.no_grad()
def score(body: StepBody, folder: Path) -> float:
    """Share of commanded steps whose success is told rightly."""
    inputs, made = tries(folder, body)
    return float(((body.logits(inputs) > 0) == (made > 0)).float().mean())
