"""Fit the inverse-dynamics judge: python -m nfd_gym.eval.fit_idm --data TRAIN --val VAL --out FILE.

A few minutes of one core. The fitted judge ships in nfd_gym/assets/judges/.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfd_gym.data import Source, open_source
from nfd_gym.eval.idm import AFTER, BEFORE, CLASSES, InverseDynamics, Labels, follow, labels, small
from nfd_gym.runtime.threads import settle


def gather(source: Source, limit: int) -> tuple[list[npt.NDArray[np.uint8]], list[Labels]]:
    """Reduced luma and labels of clips spread over the source, up to about `limit` frames."""
    total = sum(source.lengths)
    every = max(1, round(total / max(limit, 1)))
    pictures, told = [], []
    for index in range(0, len(source.names), every):
        clip = source.read(index)
        pictures.append(small(clip.frames))
        told.append(labels(clip.actions))
    return pictures, told


def fit(
    pictures: list[npt.NDArray[np.uint8]],
    told: list[Labels],
    steps: int,
    seed: int = 0,
    batch: int = 64,
    rate: float = 2e-3,
) -> InverseDynamics:
    """Train for `steps` batches, the learning rate falling to zero."""
    random = np.random.default_rng(seed)
    judge = InverseDynamics()
    start(judge, torch.Generator().manual_seed(seed))
    optimiser = torch.optim.AdamW(judge.parameters(), lr=rate, weight_decay=0.02)
    places = np.array(
        [(c, i) for c, p in enumerate(pictures) for i in range(BEFORE, len(p) - AFTER)]
    )
    spans = np.arange(-BEFORE, AFTER + 1)
    shown, warm = 0.0, min(50, 1 + steps // 10)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / warm) * (1 - step / steps)
        chosen = places[random.integers(len(places), size=batch)]
        windows = torch.from_numpy(np.stack([pictures[c][i + spans] for c, i in chosen]))
        logits = judge(augment(windows.float() / 127.5 - 1, random))
        losses: list[Tensor] = []
        for task in CLASSES:
            truth = torch.from_numpy(np.array([told[c][task][i] for c, i in chosen]))
            losses.append(F.cross_entropy(logits[task], truth))
        loss = torch.stack(losses).sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
        optimiser.step()
        shown = 0.98 * shown + 0.02 * loss.item() if step else loss.item()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1} of {steps}: loss {shown:.3f}", flush=True)
    return judge.eval()


def start(judge: InverseDynamics, generator: torch.Generator) -> None:
    """Initial weights that depend on the generator alone."""
    for module in judge.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    with torch.no_grad():
        judge.out.weight.mul_(0.1)


def augment(windows: Tensor, random: np.random.Generator) -> Tensor:
    """Contrast, brightness, and a blur for a third of the batch: dreams are softer than
    recordings, and the judge should read their motion, not their sharpness."""
    count = len(windows)
    gain = torch.from_numpy(random.uniform(0.8, 1.2, (count, 1, 1, 1))).float()
    offset = torch.from_numpy(random.uniform(-0.15, 0.15, (count, 1, 1, 1))).float()
    soft = F.avg_pool2d(windows, 3, stride=1, padding=1, count_include_pad=False)
    pick = torch.from_numpy(random.random((count, 1, 1, 1)) < 1 / 3)
    return torch.where(pick, soft, windows) * gain + offset


def ceiling(judge: InverseDynamics, source: Source, clips: int) -> dict[str, object]:
    """The judge's own score on recordings it has not seen."""
    told: list[Labels] = []
    read: list[Labels] = []
    for index in range(min(clips, len(source.names))):
        clip = source.read(index)
        read.append(judge.read(clip.frames))
        told.append(labels(clip.actions[BEFORE : len(clip) - AFTER]))
    return follow(joined(told), joined(read))


def joined(parts: list[Labels]) -> Labels:
    return {task: np.concatenate([part[task] for part in parts]) for task in CLASSES}


def main() -> int:
    parser = argparse.ArgumentParser(description="Fit the inverse-dynamics judge on recordings.")
    parser.add_argument("--data", type=Path, required=True, help="training recordings")
    parser.add_argument("--val", type=Path, help="held-out recordings for its ceiling")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=50_000)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    settle()
    judge = fit(*gather(open_source(args.data), args.frames), steps=args.steps, seed=args.seed)
    judge.save(args.out)
    if args.val is not None:
        result = ceiling(InverseDynamics.load(args.out), open_source(args.val), clips=10)
        print("held-out recordings:", result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
