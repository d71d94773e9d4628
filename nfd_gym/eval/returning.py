"""Is what was looked away from still there? A dream that stands, turns away, and turns back.

Nobody recorded that, and nobody has to: a world stays where it is, so the last real frame is what
should be on show at the end. What is shown farthest away is scored beside it: that much likeness
any two views of one place have.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from nfd_gym.actions import KeysAndMouse
from nfd_gym.eval.fidelity import dream_all
from nfd_gym.eval.metrics import psnr
from nfd_gym.eval.rollout import Dream, Excerpt

ANGLES = (45, 90, 180)  # degrees away
PACE = 9.0  # degrees per tick


def away_and_back(excerpt: Excerpt, codec: KeysAndMouse, degrees: float) -> Excerpt:
    """The same contexts; then a turn to the right by `degrees` and back to the left."""
    ticks = round(degrees / PACE)
    turns = [codec.vector(yaw=side * degrees / ticks) for side in (1, -1) for _ in range(ticks)]
    lanes, context = len(excerpt.frames), excerpt.context
    held = np.broadcast_to(np.stack(turns), (lanes, 2 * ticks, codec.width))
    return replace(
        excerpt,
        frames=np.concatenate(
            [excerpt.frames[:, :context], excerpt.last[:, None].repeat(2 * ticks, axis=1)], axis=1
        ),
        actions=np.concatenate([excerpt.actions[:, :context], held], axis=1),
        pitch=None if excerpt.pitch is None else excerpt.pitch[:, :context],
    )


def returning(dream: Dream, excerpt: Excerpt, codec: KeysAndMouse, lanes: int) -> dict[str, Any]:
    """PSNR in dB against the last real frame, back from each angle and at its far end."""
    out: dict[str, Any] = {"stretches": len(excerpt.frames)}
    for degrees in ANGLES:
        there = away_and_back(excerpt, codec, degrees)
        shown = dream_all(dream, there, lanes)
        far = there.horizon // 2 - 1
        out[str(degrees)] = {
            "back": float(psnr(shown[:, -1], there.last).mean()),
            "away": float(psnr(shown[:, far], there.last).mean()),
        }
    return out
