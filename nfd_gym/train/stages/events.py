"""Stage: the chances of the events of a coming frame, by the recorded ones."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.memory.tiles import lasted
from nfd_gym.model.events import STAYS
from nfd_gym.model.steps import StepBody

BATCH, CHUNK, STEPS = 1024, 2048, 8000
BY_ACTION = 0.5  # share of rows that are drawn by their action, every kind as often
JUST_BEGUN, BEGAN = 0.5, 60  # share of rows whose map began at most so many steps before
BLUR = 0.2  # most noise on codes: in play they are the denoiser's


class Rows:
    """What events depend on, for every row of coded frames that has one before it."""

    def __init__(self, folder: Path, body: StepBody) -> None:
        self.body = body
        names = ("codes", "since", "actions", "poses", "events")
        codes, since, actions, poses, happens = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names
        )
        lengths = np.array(json.loads((folder / "lengths.json").read_text()))
        second = np.ones(len(actions), bool)
        second[np.cumsum(lengths) - lengths] = False  # what came before is unknown
        self.rows = np.flatnonzero(second)
        self.codes = codes
        self.since = np.array(since[:, since.shape[1] - body.settings.below :])
        self.actions, self.poses, self.happens = (np.array(a) for a in (actions, poses, happens))
        kinds = self.actions[self.rows].argmax(-1)
        by = [self.rows[kinds == kind] for kind in np.unique(kinds)]
        self.by_action, self.firsts = np.concatenate(by), np.cumsum([0, *map(len, by)])

    def drawn(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Random rows (BATCH,); an action is known before a frame, so chances stay."""
        rows = self.rows[random.integers(len(self.rows), size=BATCH)]
        kind = random.integers(len(self.firsts) - 1, size=BATCH)
        same = random.integers(self.firsts[kind], self.firsts[kind + 1])
        return np.where(random.random(BATCH) < BY_ACTION, self.by_action[same], rows)

    def inputs(self, rows: NDArray[np.int64], began: NDArray[np.int64]) -> Tensor:
        """Inputs (n,·) of rows (n,) whose maps began so many steps (n,) before."""
        since = np.where(self.since[rows] <= began[:, None], self.since[rows], -1)
        codes = torch.from_numpy(self.codes[rows - 1]).float()
        action, pose = torch.from_numpy(self.actions[rows]), torch.from_numpy(self.poses[rows])
        return self.body.event_inputs(codes, lasted(torch.from_numpy(since)), action, pose)

    def outcome(self, rows: NDArray[np.int64]) -> Tensor:
        """What numbers did (n,E) in rows (n,): FALLS, STAYS or RISES."""
        return torch.from_numpy(self.happens[rows]).long() + STAYS


def fit(folder: Path, body: StepBody, seed: int, descend: Callable[..., None]) -> None:
    """Side effect: the events of `body` are fitted to the rows of a folder."""
    rows, random = Rows(folder, body), np.random.default_rng(seed)
    assert body.events is not None
    events, seen = body.events, len(body.settings.sees) * body.settings.channels

    def loss(_: Tensor) -> Tensor:
        chosen = rows.drawn(random)
        just = random.random(BATCH) < JUST_BEGUN
        began = np.where(just, random.integers(BEGAN, size=BATCH), len(rows.actions))
        given = rows.inputs(chosen, began)
        given[:, :seen] += BLUR * torch.rand(BATCH, 1) * torch.randn(BATCH, seen)
        return F.cross_entropy(events.logits(given).flatten(0, 1), rows.outcome(chosen).flatten())

    descend(events, len(rows.rows), seed, STEPS, loss)


@torch.no_grad()
def chances(folder: Path, body: StepBody) -> tuple[Tensor, Tensor]:
    """Chances (n,E,3) of the events of a folder's rows, and which happened (n,E)."""
    rows = Rows(folder, body)
    assert body.events is not None
    out = [
        body.events.logits(rows.inputs(part, np.full(len(part), len(rows.actions)))).softmax(-1)
        for part in np.array_split(rows.rows, max(1, len(rows.rows) // CHUNK))
    ]
    return torch.cat(out), rows.outcome(rows.rows)
