"""How well events are told: rises of belief against logged events, and the belief to ask for."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.model.heads import HeadsConfig
from nfd_gym.train.heads_data import Flags

ENOUGH = 10  # events; with fewer the best belief is luck, and 1/2 stays


def rises(belief: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Frames where belief begins: how a task counts an event that shows for two or three frames."""
    return np.flatnonzero(belief & ~np.concatenate([[False], belief[:-1]]))


def match(found: NDArray[Any], true: NDArray[Any], tolerance: int) -> int:
    """How many found events have a true one of their own within `tolerance` frames, in order."""
    hits = index = 0
    for frame in found:
        while index < len(true) and true[index] < frame - tolerance:
            index += 1
        if index < len(true) and true[index] <= frame + tolerance:
            hits, index = hits + 1, index + 1
    return hits


def counts(
    beliefs: list[NDArray[np.bool_]], true: list[NDArray[np.bool_]], delay: int, tolerance: int
) -> dict[str, float]:
    """Precision, recall and F1 of the rises of `beliefs` against the logged events."""
    hits = found = logged = 0
    for belief, events in zip(beliefs, true, strict=True):
        rose, at = rises(belief), np.flatnonzero(events) + delay
        hits += match(rose, at, tolerance)
        found += len(rose)
        logged += len(at)
    precision, recall = hits / max(1, found), hits / max(1, logged)
    return {
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(2 * precision * recall / max(1e-9, precision + recall), 4),
        "found": found,
        "logged": logged,
    }


def best_offsets(
    config: HeadsConfig, logits: list[Tensor], truth: list[Flags], tolerance: int
) -> Tensor:
    """The raw logit per event at which F1 on held-out recordings is best, parents first."""
    offsets = torch.zeros(len(config.events))
    for wanted in (False, True):
        for column, (event, parent) in enumerate(zip(config.events, config.parents, strict=True)):
            true = [flags[event] for flags in truth]
            if bool(parent) != wanted or sum(int(flag.sum()) for flag in true) < ENOUGH:
                continue
            above = config.events.index(parent) if parent else None
            scored = []
            for offset in np.arange(-4.0, 8.1, 0.25):
                beliefs = [(raw[:, column] >= float(offset)).numpy() for raw in logits]
                if above is not None:
                    held = [(raw[:, above] >= offsets[above]).numpy() for raw in logits]
                    beliefs = [a & b for a, b in zip(beliefs, held, strict=True)]
                scored.append((counts(beliefs, true, config.delay, tolerance)["f1"], float(offset)))
            best = max(f1 for f1, _ in scored)
            # The middle of the plateau: the edge of one is a matter of single frames.
            plateau = [offset for f1, offset in scored if f1 >= best - 0.01]
            offsets[column] = float(np.median(plateau))
    return offsets


def score(
    config: HeadsConfig, offsets: Tensor, logits: list[Tensor], truth: list[Flags], tolerance: int
) -> dict[str, dict[str, float]]:
    """What a task that counts rises of belief over 1/2 would report, per event."""
    out = {}
    for column, (event, parent) in enumerate(zip(config.events, config.parents, strict=True)):
        shifted = [raw - offsets for raw in logits]
        belief = [part[:, column] for part in shifted]
        if parent:
            above = config.events.index(parent)
            belief = [torch.minimum(part[:, column], part[:, above]) for part in shifted]
        beliefs = [(part >= 0).numpy() for part in belief]
        out[event] = counts(beliefs, [flags[event] for flags in truth], config.delay, tolerance)
    return out
