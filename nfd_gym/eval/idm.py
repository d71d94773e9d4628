"""Inverse dynamics: a small net that reads the action out of a few frames of a recording.

It judges what registration cannot (keys, jumping, attacking) with MineWorld's action-following
tasks. A trained judge is fallible: its score on held-out *recordings* is the ceiling that goes
beside it.
"""

import json
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nfd_gym.eval.metrics import luma
from nfd_gym.eval.rollout import Floats, Frames
from nfd_gym.keyboard import KEY_INDEX, PITCH, YAW

# Frames around the one whose action is read: it may look ahead, an agent may not.
BEFORE, AFTER = 3, 2
SIZE = (56, 96)
CAMERA_BINS = 11  # VPT's quantiser is uniform on the codec's log scale, which ends at 10 degrees

# MineWorld's tasks: two keys make three classes (none or both, first, second), one makes two.
TASKS: dict[str, tuple[str, ...]] = {
    "forward/back": ("forward", "back"),
    "left/right": ("left", "right"),
    "sprint/sneak": ("sprint", "sneak"),
    "use": ("use",),
    "attack": ("attack",),
    "jump": ("jump",),
    "drop": ("drop",),
}
CLASSES = {name: len(keys) + 1 for name, keys in TASKS.items()} | {
    "camera pitch": CAMERA_BINS,
    "camera yaw": CAMERA_BINS,
}

Labels = dict[str, npt.NDArray[np.int64]]


def labels(actions: Floats) -> Labels:
    """The class of every action (..., A) in each task, and the camera bins."""
    out: Labels = {}
    for name, keys in TASKS.items():
        down = [actions[..., KEY_INDEX[key]] > 0.5 for key in keys]
        if len(down) == 1:
            out[name] = down[0].astype(np.int64)
        else:
            out[name] = np.where(down[0] & ~down[1], 1, np.where(down[1] & ~down[0], 2, 0))
    half = CAMERA_BINS // 2
    for name, axis in (("camera pitch", PITCH), ("camera yaw", YAW)):
        bins = np.rint(np.clip(actions[..., axis], -1, 1) * half) + half
        out[name] = bins.astype(np.int64)
    return out


def small(frames: Frames) -> npt.NDArray[np.uint8]:
    """Luma of (..., H, W, 3) reduced to SIZE by averaging."""
    grey = torch.from_numpy(luma(frames)).reshape(-1, 1, *frames.shape[-3:-1])
    reduced = F.adaptive_avg_pool2d(grey, SIZE).round().to(torch.uint8)
    return reduced.reshape(*frames.shape[:-3], *SIZE).numpy()


class InverseDynamics(nn.Module):
    """Luma windows (B, BEFORE + 1 + AFTER, *SIZE) in [-1, 1] -> logits per task."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.width = width
        # 2 x 2 pixels become channels at once: four times cheaper than a convolution at full size.
        sizes = [4 * (BEFORE + 1 + AFTER), width, 4 * width // 3, 2 * width]
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, size) for size in sizes[1:])
        self.mix = nn.Linear(sizes[-1] * 4 * 6, 128)
        self.out = nn.Linear(128, sum(CLASSES.values()))

    def forward(self, windows: Tensor) -> dict[str, Tensor]:
        x = F.pixel_unshuffle(windows, 2)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.silu(norm(conv(x)))
        logits = self.out(F.silu(self.mix(x.flatten(1))))
        return dict(zip(CLASSES, logits.split(list(CLASSES.values()), dim=-1), strict=True))

    @torch.no_grad()
    def read(self, video: Frames) -> Labels:
        """Predicted classes for frames BEFORE .. T - AFTER - 1 of a video (T, H, W, 3)."""
        grey = torch.from_numpy(small(video)).float() / 127.5 - 1
        windows = grey.unfold(0, BEFORE + 1 + AFTER, 1).movedim(-1, 1)
        parts = [self(part) for part in windows.split(64)]
        return {task: torch.cat([p[task] for p in parts]).argmax(-1).numpy() for task in CLASSES}

    def save(self, path: Path) -> None:
        """Half precision safetensors; loading gives the rounded weights."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        weights = {name: value.half().contiguous() for name, value in self.state_dict().items()}
        about = {
            "kind": "inverse dynamics",
            "width": str(self.width),
            "classes": json.dumps(CLASSES),
        }
        save_file(weights, str(draft), metadata=about)
        os.replace(draft, path)

    @classmethod
    def load(cls, path: Path) -> "InverseDynamics":
        try:
            with safe_open(str(path), framework="pt") as file:
                about = file.metadata() or {}
                weights = {name: file.get_tensor(name).float() for name in file.keys()}
            if json.loads(about["classes"]) != CLASSES:
                raise ValueError("it was trained for other tasks")
            judge = cls(int(about["width"]))
            judge.load_state_dict(weights, strict=True)
        except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"{path} is not an inverse-dynamics judge ({error}); fit one with "
                "`python -m nfd_gym.eval.fit_idm --data DIR --out FILE`."
            ) from error
        return judge.eval()


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1; micro over frames, macro over classes."""

    micro: float  # with one class per frame, precision, recall and F1 are all the accuracy
    precision: float
    recall: float
    f1: float


def score(told: npt.NDArray[np.int64], read: npt.NDArray[np.int64]) -> Score | None:
    """Score of one task, macro over the classes that occur in either; None if only one class was
    told."""
    if len(np.unique(told)) < 2:
        return None
    precision, recall, f1 = [], [], []
    for kind in np.union1d(told, read):
        hit = float(((told == kind) & (read == kind)).sum())
        p = hit / max(float((read == kind).sum()), 1.0)
        r = hit / max(float((told == kind).sum()), 1.0)
        precision.append(p)
        recall.append(r)
        f1.append(2 * p * r / max(p + r, 1e-9))
    return Score(
        float((told == read).mean()),
        *(float(np.mean(values)) for values in (precision, recall, f1)),
    )


def follow(told: Labels, read: Labels) -> dict[str, Any]:
    """MineWorld's action-following figures: each task with more than one class, their mean, and the
    mean distance in camera bins."""
    tasks: dict[str, Any] = {}
    for name in TASKS:
        result = score(told[name], read[name])
        if result is not None:
            tasks[name] = vars(result)
    keys = ("micro", "precision", "recall", "f1")
    out: dict[str, Any] = {"frames": len(told["use"]), "tasks": tasks}
    out["mean"] = {k: float(np.mean([t[k] for t in tasks.values()])) for k in keys} if tasks else {}
    out["camera_bin_error"] = float(
        np.mean([np.abs(told[n] - read[n]).mean() for n in ("camera pitch", "camera yaw")])
    )
    return out
