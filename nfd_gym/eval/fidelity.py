"""How close a dream stays to the recording, beside baselines that learn nothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nfd_gym.actions import ActionCodec
from nfd_gym.eval.baselines import mean_frame, persistence, warped
from nfd_gym.eval.inputs import inputs
from nfd_gym.eval.metrics import psnr, ssim
from nfd_gym.eval.rollout import (
    Dream,
    Excerpt,
    Floats,
    Frames,
    by_kind,
    kinds,
    roll,
)
from nfd_gym.eval.subject import open_dream
from nfd_gym.model.carry import listen
from nfd_gym.model.pixels import to_float, to_uint8
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.noise import noise
from nfd_gym.world import WorldModel

Scores = dict[str, npt.NDArray[np.float32]]  # method -> (B, horizon)
Score = Callable[[Frames, Frames], npt.NDArray[np.float32]]


def dream_all(dream: Dream, excerpt: Excerpt, lanes: int) -> Frames:
    """Free rollouts of every stretch of the excerpt, `lanes` at a time (a Session has fixed lanes,
    so the last batch is filled up with repeats that are thrown away)."""
    out = []
    for index, batch in enumerate(excerpt.batches(lanes)):
        missing = lanes - len(batch.frames)
        if missing:
            batch = batch.rows(np.arange(lanes) % len(batch.frames))
        out.append(roll(dream, batch, first_seed=index * lanes)[: lanes - missing])
    return np.concatenate(out)


def rivals(excerpt: Excerpt, codec: ActionCodec) -> dict[str, Frames]:
    """The pictures that every baseline shows over the horizon."""
    out = {"persistence": persistence(excerpt)}
    turned = warped(excerpt, codec)
    if turned is not None:
        out["warp"] = turned
    # The mean is taken over the very frames it is scored on, which only helps it.
    middle = mean_frame(excerpt.real)
    out["mean frame"] = np.broadcast_to(middle, excerpt.real.shape)
    return out


@torch.no_grad()
def through_tokenizer(tokenizer: Tokenizer, frames: Frames) -> Frames:
    """Frames encoded and decoded: the best that any denoiser over this tokenizer can show."""
    flat = frames.reshape(-1, *frames.shape[-3:])
    out = []
    for start in range(0, len(flat), 32):
        pixels = to_float(torch.from_numpy(np.ascontiguousarray(flat[start : start + 32])))
        out.append(to_uint8(tokenizer.decode(tokenizer.encode(pixels))).numpy())
    return np.concatenate(out).reshape(frames.shape)


def score_all(pictures: dict[str, Frames], real: Frames, score: Score) -> Scores:
    """score(pictures, real) per method and frame, a stretch at a time: floats take four times the
    memory of bytes."""
    return {
        method: np.stack([score(ours, theirs) for ours, theirs in zip(shown, real, strict=True)])
        for method, shown in pictures.items()
    }


def table_by_kind(scores: Scores, actions: Floats, codec: ActionCodec) -> dict[str, Any]:
    """{"count": {kind: frames}, method: {kind: mean}} for scores and actions over a horizon."""
    masks = kinds(actions, codec)
    out: dict[str, Any] = {"count": {name: int(mask.sum()) for name, mask in masks.items()}}
    for method, values in scores.items():
        out[method] = by_kind(values, masks)
    return out


def one_step(world: WorldModel, excerpt: Excerpt, lanes: int = 8) -> dict[str, Any]:
    """PSNR and SSIM of every horizon frame, each predicted from the real frames before it."""
    pairs = excerpt.pairs()
    pictures = {
        "world": predict_each(world, excerpt, lanes),
        **rivals(pairs, world.codec),
        "tokenizer": through_tokenizer(world.tokenizer, pairs.real),
    }
    actions = pairs.actions[:, 1:]
    return {
        "frames": len(pairs.real),
        "psnr": table_by_kind(score_all(pictures, pairs.real, psnr), actions, world.codec),
        "ssim": table_by_kind(score_all(pictures, pairs.real, ssim), actions, world.codec),
    }


def predict_each(world: WorldModel, excerpt: Excerpt, lanes: int) -> Frames:
    """One-step-ahead pictures (B * horizon, 1, H, W, 3), real context for each.

    A one-step world that keeps the keys of its noisy evaluations predicts a whole stretch in one
    pass, with the numbers a Session would give; any other is primed anew for every frame.
    """
    how = world.settings
    if how.sigmas == (1.0,) and how.context == "noisy":
        return np.concatenate(
            [_one_pass(world, part, i) for i, part in enumerate(excerpt.batches(2))]
        )
    return dream_all(
        open_dream(world, lanes), excerpt.each(world.denoiser.config.window + 1), lanes
    )


@torch.no_grad()
def _one_pass(world: WorldModel, excerpt: Excerpt, seed: int) -> Frames:
    """All horizon frames of a few stretches at once, from pure noise."""
    given = inputs(world, excerpt)
    config = world.denoiser.config
    shape = (*given.actions.shape[:2], config.tokens, config.channels)
    draw = world.settings.temperature * torch.from_numpy(noise(seed, 0, 0, 0, shape))
    limit = world.settings.latent_limit
    denoiser, heard = listen(world.denoiser)
    latents = denoiser(draw, torch.ones(shape[:2]), given.actions, given.recycled)
    latents = latents.clamp(-limit, limit)
    return given.show(world, latents, heard, excerpt.context - 1)[:, None]


def against_horizon(pictures: dict[str, Frames], real: Frames) -> dict[str, Any]:
    """PSNR and SSIM of free rollouts (B, T, H, W, 3) for each frame index, mean over stretches."""
    out: dict[str, Any] = {"rollouts": len(real), "frames": real.shape[1]}
    for name, score in (("psnr", psnr), ("ssim", ssim)):
        curves = score_all(pictures, real, score)
        out[name] = {method: values.mean(axis=0).tolist() for method, values in curves.items()}
    return out


def at(curve: list[float], frame: int) -> float | None:
    """The value at 1-based frame index, averaged over the last tenth before it: one frame is
    noisy."""
    if frame > len(curve):
        return None
    return float(np.mean(curve[frame - max(1, frame // 10) : frame]))
