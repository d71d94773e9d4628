"""Does a long dream stay the game? Picture and latent statistics against the frame index.

Each statistic is a curve over the horizon, and its ratio (or difference) to the same statistic of
the real recordings *as a whole*: a dream may go elsewhere than the recording, but not become a
different kind of picture. The real curve's own ratio is the ceiling: how much a real recording
wanders.
"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from nfd_gym.eval.metrics import edge_energy, flicker
from nfd_gym.eval.rollout import Frames
from nfd_gym.model.pixels import to_float
from nfd_gym.model.tokenizer import Tokenizer

Curve = npt.NDArray[np.float64]


def picture_curves(videos: Frames) -> dict[str, Curve]:
    """Statistics of (B, T, H, W, 3), averaged over B, each (T,)."""
    each = [_picture_curves(video) for video in videos]
    return {name: np.mean([curves[name] for curves in each], axis=0) for name in each[0]}


def _picture_curves(video: Frames) -> dict[str, Curve]:
    pixels = video.astype(np.float32)
    curves = {
        "edge_energy": edge_energy(video),
        "brightness": pixels.mean(axis=(1, 2, 3)),
        "contrast": pixels.std(axis=(1, 2)).mean(axis=1),
        "flicker": np.append(flicker(video), np.nan),  # the last frame has no next one
    }
    for channel, name in enumerate(("red", "green", "blue")):
        curves[name] = pixels[..., channel].mean(axis=(1, 2))
    return {name: np.asarray(curve, np.float64) for name, curve in curves.items()}


@torch.no_grad()
def latent_curves(tokenizer: Tokenizer, videos: Frames) -> dict[str, Curve]:
    """Mean absolute channel mean and mean channel deviation of the colour code, each (T,).

    A shrinking standard deviation is regression to the mean; a growing one is overshoot."""
    means, stds = [], []
    for time in range(videos.shape[1]):
        latents = tokenizer.colour.encode(
            to_float(torch.from_numpy(np.ascontiguousarray(videos[:, time])))
        )
        flat = latents.flatten(0, 1)
        means.append(float(flat.mean(dim=0).abs().mean()))
        stds.append(float(flat.std(dim=0).mean()))
    return {"latent_mean": np.array(means), "latent_std": np.array(stds)}


def ratios(dream: dict[str, Curve], real: dict[str, Curve]) -> dict[str, Curve]:
    """Each dream curve over the real recordings' mean of that statistic, (T,)."""
    return {name: curve / max(float(np.nanmean(real[name])), 1e-9) for name, curve in dream.items()}


def windows(
    curve: Curve, edges: tuple[int, ...] = (0, 16, 64, 128, 256, 512, 1024)
) -> dict[str, float]:
    """Means over growing stretches of the horizon, "1-16", "17-64", ...: a curve as a table row."""
    out = {}
    for start, stop in pairwise(edges):
        part = curve[start : min(stop, len(curve))]
        if len(part) and np.isfinite(part).any():
            out[f"{start + 1}-{min(stop, len(curve))}"] = float(np.nanmean(part))
    return out
