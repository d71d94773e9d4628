"""Stage: the body that pushes a thing, fitted to recorded poses.

The player's way is a least-squares fit. The thing's is learned on single steps that move or touch
it, then on stretches of the body's own poses. The table is square and the thing may be its own
mirror image: every batch is turned by quarters and, where that holds, every other one mirrored.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nfd_gym.model.outline import turned
from nfd_gym.model.push import PushBody, PushConfig, apart
from nfd_gym.progress import Progress

SINGLE, STRETCHES = 2500, 1100  # optimiser steps
BATCH, RATE, WARMUP = 512, 3e-3, 200
OWN, OWN_BATCH, OWN_RATE = 8, 128, 1e-3  # steps of a stretch
BEFORE = 2  # recorded poses that a stretch begins with
STILL = 0.05  # pixels that are no push


def fit(
    folder: Path, config: PushConfig, seed: int = 0, single: int = SINGLE,
    stretches: int = STRETCHES,
) -> PushBody:  # fmt: skip
    """A body fitted to the poses and actions in a folder (see `stages.frames.decode`)."""
    poses, actions, firsts = load(folder)
    torch.manual_seed(seed)
    body = PushBody(config)
    body.steer(*player_law(poses, actions, firsts))
    random = torch.Generator().manual_seed(seed)
    with Progress(single + stretches, "steps") as bar:
        for steps, count, batch, rate in (
            (1, single, BATCH, RATE), (OWN, stretches, OWN_BATCH, OWN_RATE),
        ):  # fmt: skip
            rows = pushes(body, poses, firsts, steps)
            optimiser = torch.optim.AdamW(body.parameters(), rate, weight_decay=1e-4)
            window = torch.arange(BEFORE + steps)
            for number in range(count):
                for group in optimiser.param_groups:
                    warm = min(1.0, (number + 1) / WARMUP)
                    group["lr"] = rate * warm * 0.5 * (1 + math.cos(math.pi * number / count))
                index = rows[torch.randint(len(rows), (batch,), generator=random)]
                clip = poses[index[:, None] + window], actions[index[:, None] + window]
                quarters = int(torch.randint(4, (), generator=random))
                flip = config.mirror and number % 2 == 1
                optimiser.zero_grad()
                loss(body, *seen_from(*clip, quarters, flip, config)).backward()
                torch.nn.utils.clip_grad_norm_(body.parameters(), 1.0)
                optimiser.step()
                bar.add()
    return body.eval().requires_grad_(False)


def load(folder: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Poses (N,5), actions (N,A) and whether a row begins a clip (N,)."""
    poses, actions = (
        torch.from_numpy(np.load(folder / f"{name}.npy", allow_pickle=False))
        for name in ("poses", "actions")
    )
    lengths = torch.tensor(json.loads((folder / "lengths.json").read_text()))
    firsts = torch.zeros(len(poses), dtype=torch.bool)
    firsts[lengths.cumsum(0) - lengths] = True
    return poses, actions, firsts


def player_law(poses: Tensor, actions: Tensor, firsts: Tensor) -> tuple[float, float, float]:
    """Gain, pull and keep of `PushBody.steer`, by least squares over three poses in a row."""
    place, aim = poses[:, :2].double(), actions[:, :2].double()
    way, left = place[1:] - place[:-1], aim[1:] - place[:-1]
    whole = ~(firsts[1:-1] | firsts[2:])
    inputs = torch.stack([left[1:], left[:-1], way[:-1]], -1)[whole].flatten(0, 1)
    found = torch.linalg.lstsq(inputs, way[1:][whole].flatten()[:, None]).solution
    gain, pull, keep = found[:, 0].tolist()
    return gain, pull, keep


@torch.no_grad()
def pushes(body: PushBody, poses: Tensor, firsts: Tensor, steps: int) -> Tensor:
    """First rows (M,) of stretches of BEFORE + steps poses of one clip in which the thing moves or,
    after the given poses, the player is where it could push."""
    pixels = body.shape.scene.side / 2
    moved = torch.zeros(len(poses), dtype=torch.bool)
    change = poses[1:, 2:] - poses[:-1, 2:]
    moved[1:] = change[:, :2].norm(dim=1) * pixels > STILL
    moved[1:] |= change[:, 2].abs() * body.outline.reach > STILL
    own = turned((poses[:, :2] - poses[:, 2:4]) * pixels, -poses[:, 4])
    moved |= body.outline.disc(own)[0].amin(1) < 1.0
    windows = moved.unfold(0, BEFORE + steps, 1)[:, BEFORE:].any(1)
    return (windows & ~firsts.unfold(0, BEFORE + steps, 1)[:, 1:].any(1)).nonzero()[:, 0]


def seen_from(
    poses: Tensor, actions: Tensor, quarters: int, flip: bool, config: PushConfig
) -> tuple[Tensor, Tensor]:
    """Poses (B,T,5) and actions (B,T,A) after quarter turns about the table's middle and perhaps a
    mirror of left and right."""
    middle = sum(config.walls) / config.scene.side - 1
    turn = torch.tensor(quarters * math.pi / 2)
    sign = torch.tensor([-1.0 if flip else 1.0, 1.0])

    def place(at: Tensor) -> Tensor:
        return turned((at - middle) * sign, turn) + middle

    angle = poses[..., 4:] * sign[0] + turn
    seen = torch.cat([place(poses[..., :2]), place(poses[..., 2:4]), angle], -1)
    return seen, torch.cat([place(actions[..., :2]), actions[..., 2:]], -1)


def loss(body: PushBody, poses: Tensor, actions: Tensor) -> Tensor:
    """Mean error of the thing in pixels, over the steps of stretches (B,T,5)."""
    motion = body.start(poses[:, :BEFORE], actions[:, :BEFORE])
    pose, total = poses[:, BEFORE - 1], poses.new_zeros(())
    for i in range(BEFORE, poses.shape[1]):
        pose, motion = body.step(pose, motion, actions[:, i])
        error = difference(body, pose, poses[:, i])
        total = total + F.smooth_l1_loss(error, torch.zeros_like(error), beta=0.5)
    return total / (poses.shape[1] - BEFORE)


def difference(body: PushBody, one: Tensor, other: Tensor) -> Tensor:
    """Differences (...,3) of the thing between poses (...,5) in pixels: place, and turn at its
    farthest corner."""
    place = (one[..., 2:4] - other[..., 2:4]) * (body.shape.scene.side / 2)
    turn = apart(one[..., 4:], other[..., 4:]) * body.outline.reach
    return torch.cat([place, turn], -1)


@torch.no_grad()
def score(body: PushBody, folder: Path, steps: int, count: int = 200) -> dict[str, float]:
    """Mean and median errors after `steps` of the body's own poses on stretches that are drawn
    evenly: player and thing in pixels, the angle in degrees."""
    poses, actions, firsts = load(folder)
    whole = ~firsts.unfold(0, BEFORE + steps, 1)[:, 1:].any(1)
    rows = whole.nonzero()[:, 0]
    rows = rows[torch.randint(len(rows), (count,), generator=torch.Generator().manual_seed(0))]
    motion = body.start(
        *(a[rows[:, None] + torch.arange(BEFORE)] for a in (poses, actions))
    )  # fmt: skip
    pose = poses[rows + BEFORE - 1]
    for i in range(BEFORE, BEFORE + steps):
        pose, motion = body.step(pose, motion, actions[rows + i])
    real = poses[rows + BEFORE + steps - 1]
    error = difference(body, pose, real)
    player = (pose[:, :2] - real[:, :2]).norm(dim=1) * (body.shape.scene.side / 2)
    turn = error[:, 2].abs() * (180 / math.pi / body.outline.reach)
    found = {"player": player, "thing": error[:, :2].norm(dim=1), "degrees": turn}
    means = {f"{name}_mean": float(values.mean()) for name, values in found.items()}
    return means | {f"{name}_median": float(values.median()) for name, values in found.items()}
