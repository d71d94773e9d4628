"""Stage: the body's displacement and events, on the ticks of the replayed clips."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from nfd_gym.model.eye import CELLS, STEP, EyeBody, EyeBodyConfig
from nfd_gym.train import checkpoint
from nfd_gym.train.views import Legs

BATCH, RATE = 512, 2e-3
WALKED = 8  # inputs before the displacements: the keys of EyeBodyConfig.walk


def fit(folders: list[Path], config: EyeBodyConfig, steps: int, seed: int = 0) -> EyeBody:
    """A body trained for `steps` steps on the ticks in shard folders."""
    ticks = load_ticks(folders)
    torch.manual_seed(seed)
    body = EyeBody(config)
    optimiser = torch.optim.AdamW(body.parameters(), RATE, weight_decay=0.01)
    random = torch.Generator().manual_seed(seed)
    rare = 1.0 + 4.0 * (ticks["event"] > 0) + 2.0 * (ticks["step"][:, 1].abs() > 0.01)
    for number in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * max(0.01, 1 - number / steps)
        index = torch.multinomial(rare.float(), BATCH, True, generator=random)
        rows = {name: values[index] for name, values in ticks.items()}
        inputs = shaken(rows["inputs"], random)
        legs = F.smooth_l1_loss(body.legs(inputs), rows["step"] / STEP, beta=0.05)
        logits = body.event_logits(rows["motion"], rows["action"], rows["pointed"])
        hands = F.cross_entropy(logits, rows["event"].long())
        optimiser.zero_grad()
        (legs + 0.1 * hands).backward()
        optimiser.step()
    return body.eval().requires_grad_(False)


def shaken(inputs: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Inputs (B,·) with noise on the remembered displacements and the place in the cell: in a
    rollout they are the body's own, and their errors must die out."""
    out = inputs.clone()
    moved, place = slice(WALKED, WALKED + 6), slice(WALKED + 6 + CELLS, WALKED + 9 + CELLS)
    scale = torch.rand(len(out), 1, generator=random)
    out[:, moved] += 0.3 * scale * torch.randn(len(out), 6, generator=random)
    out[:, place] += 0.04 * scale * torch.randn(len(out), 3, generator=random)
    return out


def load_ticks(folders: list[Path]) -> dict[str, torch.Tensor]:
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
