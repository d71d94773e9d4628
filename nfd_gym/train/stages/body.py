"""Stage: the body's displacement and events, on the ticks of the replayed clips."""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nfd_gym.model.eye import EyeBody, EyeBodyConfig
from nfd_gym.model.legs import HIGH, LOW, SIDE, STEP, LegInputs
from nfd_gym.progress import Progress
from nfd_gym.train import checkpoint
from nfd_gym.train.views import Legs

BATCH, RATE, WARMUP = 512, 3e-3, 200
NOISE, PLACE_NOISE = 0.1, 0.02  # on displacements (in STEP) and the place in the cell (metres)


def fit(folders: list[Path], config: EyeBodyConfig, steps: int, seed: int = 0) -> EyeBody:
    """A body trained for `steps` steps on the ticks in shard folders."""
    ticks = load_ticks(folders)
    torch.manual_seed(seed)
    body = EyeBody(config)
    optimiser = torch.optim.AdamW(body.parameters(), RATE, weight_decay=1e-4)
    random = torch.Generator().manual_seed(seed)
    rare = 1.0 + 4.0 * (ticks["event"] > 0) + 2.0 * (ticks["step"][:, 1].abs() > 0.01)
    with Progress(steps, "steps") as bar:
        for number in range(steps):
            rate = RATE * min(1.0, (number + 1) / WARMUP)
            for group in optimiser.param_groups:
                group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * number / steps))
            index = torch.multinomial(rare, BATCH, True, generator=random)
            rows = {name: values[index] for name, values in ticks.items()}
            flipped = torch.rand(BATCH, 1, generator=random) < 0.5
            inputs, step = mirrored(rows["inputs"], rows["step"], config.mirror)
            inputs = shaken(torch.where(flipped, inputs, rows["inputs"]), random)
            step = torch.where(flipped, step, rows["step"])
            legs = F.smooth_l1_loss(body.legs(inputs), step / STEP, beta=0.02)
            logits = body.event_logits(rows["motion"], rows["action"], rows["pointed"])
            hands = F.cross_entropy(logits, rows["event"].long())
            optimiser.zero_grad()
            (legs + 0.1 * hands).backward()
            optimiser.step()
            bar.add()
    return body.eval().requires_grad_(False)


def mirrored(
    inputs: Tensor, step: Tensor, pairs: tuple[tuple[int, int], ...]
) -> tuple[Tensor, Tensor]:
    """Inputs (B,·) and displacements (B,3) as a mirror at the heading's axis shows them; `pairs` of
    what the legs are told change places (left and right)."""
    old = LegInputs.split(inputs)
    across = step.new_tensor([-1.0, 1.0, 1.0])
    grid = old.solid.view(-1, HIGH - LOW + 1, 2 * SIDE + 1, 2 * SIDE + 1)
    order = list(range(old.walk.shape[1]))
    for a, b in pairs:
        order[a], order[b] = b, a
    columns = old._replace(
        walk=old.walk[:, order], last=old.last * across, before=old.before * across,
        solid=grid.flip(2).flatten(1), place=old.place * across,
        heading=old.heading * across[:2], walked=old.walked[:, order],
        faced=old.faced * across[:2],
    )  # fmt: skip
    return torch.cat(columns, dim=1), step * across


def shaken(inputs: Tensor, random: torch.Generator) -> Tensor:
    """Inputs (B,·), half of them with noise on the remembered displacements and the place in the
    cell: in a rollout they are the body's own, and their errors must die out."""
    old, count = LegInputs.split(inputs), len(inputs)
    scale = torch.rand(count, 1, generator=random)
    scale = scale * (torch.rand(count, 1, generator=random) < 0.5)

    def noise(size: float) -> Tensor:
        return size * scale * torch.randn(count, 3, generator=random)

    columns = old._replace(
        last=old.last + noise(NOISE), before=old.before + noise(NOISE),
        place=old.place + noise(PLACE_NOISE),
    )  # fmt: skip
    return torch.cat(columns, dim=1)


def load_ticks(folders: list[Path]) -> dict[str, Tensor]:
    """The ticks of shard folders, by field."""
    return {
        field: torch.from_numpy(
            np.concatenate([np.load(f / f"legs.{field}.npy", allow_pickle=False) for f in folders])
        )
        for field in Legs._fields
    }


@torch.no_grad()
def score(body: EyeBody, folders: list[Path]) -> dict[str, float]:
    """Errors on held-out ticks: metres a tick, and how many events are right."""
    ticks = load_ticks(folders)
    error = body.legs(ticks["inputs"]) * STEP - ticks["step"]
    event = body.event_logits(ticks["motion"], ticks["action"], ticks["pointed"]).argmax(-1)
    happened = ticks["event"] > 0
    return {
        "rms": error.square().sum(1).mean().sqrt().item(),
        "horizontal": error[:, [0, 2]].square().sum(1).mean().sqrt().item(),
        "vertical": error[:, 1].square().mean().sqrt().item(),
        "still": ticks["step"].square().sum(1).mean().sqrt().item(),
        "events_found": (event == ticks["event"])[happened].float().mean().item(),
        "false_events": (event > 0)[~happened].float().mean().item(),
    }


def save(body: EyeBody, path: Path) -> None:
    checkpoint.save(path, body.tensors(), {})


def load(path: Path, config: EyeBodyConfig) -> EyeBody:
    body = EyeBody(config)
    body.load_state_dict(checkpoint.load(path)[0])
    return body.eval().requires_grad_(False)
