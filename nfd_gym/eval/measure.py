"""The whole evaluation of one world: figures as nested dictionaries, and films to look at."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nfd_gym.actions import KeysAndMouse
from nfd_gym.data import open_source
from nfd_gym.data.clip import Source
from nfd_gym.eval import control
from nfd_gym.eval.drift import latent_curves, picture_curves, ratios, windows
from nfd_gym.eval.fidelity import against_horizon, dream_all, one_step, rivals, through_tokenizer
from nfd_gym.eval.following import following
from nfd_gym.eval.frechet import frechet, i3d_features, latent_features
from nfd_gym.eval.idm import InverseDynamics
from nfd_gym.eval.returning import returning
from nfd_gym.eval.rollout import Excerpt, Frames, cut, stack
from nfd_gym.eval.shuffle import shuffled_ratio
from nfd_gym.eval.subject import open_dream
from nfd_gym.world import WorldModel

REFERENCE = 64  # stretches whose pictures are the reference of the Frechet distance


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How much is measured. The defaults take about six minutes of two cores."""

    windows: int = 40  # stretches of 16 frames predicted one step ahead
    rollouts: int = 24  # free rollouts of `horizon` frames
    horizon: int = 64
    long_rollouts: int = 6  # free rollouts of `long_horizon` frames
    long_horizon: int = 256
    lanes: int = 8

    def fitted(self, longest: int) -> "Amount":
        """Horizons no longer than recordings of `longest` frames after the context allow."""
        if longest < 16:
            raise ValueError(
                f"The longest recording leaves {longest} frames after the context; 16 are needed. "
                "Evaluate on longer recordings."
            )
        return replace(
            self,
            horizon=min(self.horizon, longest),
            long_horizon=min(self.long_horizon, longest),
        )

    def scaled(self, factor: float) -> "Amount":
        """More or fewer stretches, the horizons unchanged."""

        def times(count: int) -> int:
            return max(2, round(count * factor))

        return replace(
            self,
            windows=times(self.windows),
            rollouts=times(self.rollouts),
            long_rollouts=times(self.long_rollouts),
        )


@dataclass(frozen=True)
class Report:
    """Everything one evaluation found."""

    figures: dict[str, Any]
    short: Excerpt  # the recordings behind the rollouts, and what was dreamt instead
    short_dream: Frames
    long: Excerpt
    long_dream: Frames


def measure(
    world: WorldModel,
    data: Source,
    *,
    probes: Path | None = None,
    judge: InverseDynamics | None = None,
    i3d: Path | None = None,
    amount: Amount = Amount(),
    steps: int | None = None,
    say: Callable[[str], None] = print,
) -> Report:
    """Measure `world` on held-out recordings. `steps` replaces the world's own denoising steps in
    rollouts; `judge` adds action following, `probes` controllability, `i3d` the real FVD."""
    context = world.denoiser.config.window + 1
    amount = amount.fitted(max(data.lengths) - context)
    figures: dict[str, Any] = {}

    say("one step ahead")
    windows_cut = cut(data, amount.windows, context, 16)
    figures["one_step"] = one_step(world, windows_cut, amount.lanes)
    figures["shuffled_actions"] = shuffled_ratio(world, windows_cut)

    say(f"{amount.rollouts} rollouts of {amount.horizon} frames")
    short = cut(data, amount.rollouts, context, amount.horizon)
    short_dream = dream_all(open_dream(world, amount.lanes, steps), short, amount.lanes)
    figures["rollout"] = against_horizon(
        {"world": short_dream, **rivals(short, world.codec)}, short.real
    )

    say(f"{amount.long_rollouts} rollouts of {amount.long_horizon} frames")
    long = cut(data, amount.long_rollouts, context, amount.long_horizon)
    lanes = min(amount.lanes, amount.long_rollouts)
    long_dream = dream_all(open_dream(world, lanes, steps), long, lanes)
    every = slice(3, None, 4)  # every fourth frame: neighbours say the same
    figures["long_rollout"] = against_horizon(
        {name: shown[:, every] for name, shown in
         {"world": long_dream, **rivals(long, world.codec)}.items()},
        long.real[:, every],
    ) | {"every": 4}  # fmt: skip
    figures["drift"] = drift(world, long_dream, long.real)

    if isinstance(world.codec, KeysAndMouse) and world.codec.camera:
        say("looking away and back")
        figures["returning"] = returning(
            open_dream(world, amount.lanes, steps), short, world.codec, amount.lanes
        )

    say("Frechet distance")
    figures["frechet"] = distances(world, data, short, short_dream, i3d)

    if judge is not None:
        say("action following")
        figures["action_following"] = following(judge, short, short_dream)
    if probes is not None and isinstance(world.codec, KeysAndMouse) and world.codec.camera:
        say("control probes")
        figures["control"] = controllability(world, probes, context, amount.lanes, steps)
    return Report(figures, short, short_dream, long, long_dream)


def drift(world: WorldModel, dream: Frames, real: Frames) -> dict[str, Any]:
    """Curves over the real mean, for the dream and for the recordings themselves."""
    out: dict[str, Any] = {}
    theirs = picture_curves(real) | latent_curves(world.tokenizer, real)
    ours = picture_curves(dream) | latent_curves(world.tokenizer, dream)
    for who, curves in (("world", ours), ("real", theirs)):
        over = ratios(curves, theirs)
        out[who] = {name: windows(curve) for name, curve in over.items()}
        out[f"{who}_curves"] = {name: np.nan_to_num(c).tolist() for name, c in over.items()}
    return out


def distances(
    world: WorldModel, data: Source, excerpt: Excerpt, dream: Frames, i3d: Path | None
) -> dict[str, Any]:
    """Frechet distances of our own latents' statistics over growing parts of the horizon.

    Reference: other frames of the same recordings. "real" is the recordings' own distance to that
    reference, the floor; "tokenizer" adds encoding and decoding."""
    reference = cut(data, REFERENCE, 1, 16).real[:, ::2]
    base = latent_features(world.tokenizer, flat(reference))
    out: dict[str, Any] = {"features": base.shape[1], "reference_pictures": len(base)}
    for start, stop in ((0, 16), (16, excerpt.horizon)):
        if stop <= start:
            continue
        part = slice(start, stop, 2)
        shown = {
            "world": dream[:, part],
            "real": excerpt.real[:, part],
            "tokenizer": through_tokenizer(world.tokenizer, excerpt.real[:, part]),
        }
        row: dict[str, Any] = {"pictures": int(np.prod(shown["world"].shape[:2]))}
        for name, frames in shown.items():
            row[name] = frechet(latent_features(world.tokenizer, flat(frames)), base)
        out[f"{start + 1}-{stop}"] = row
    if i3d is not None:
        out["fvd"] = {
            "videos": len(dream),
            "frames": 16,
            "world": frechet(
                i3d_features(i3d, dream[:, :16]), i3d_features(i3d, excerpt.real[:, :16])
            ),
        }
    return out


def controllability(
    world: WorldModel, folder: Path, context: int, lanes: int, steps: int | None
) -> dict[str, Any]:
    """Probe figures of the dream ("world") and of the recordings ("real", the judges' ceiling)."""
    assert isinstance(world.codec, KeysAndMouse)
    codec = world.codec
    wanted = (*control.TURNS, *control.WALKS, "noop", "attack")
    found = control.load_probes(open_source(folder), folder, wanted)
    whole = stack([probe.clip for probe in found], found[0].context)
    start = found[0].context
    excerpt = whole.span(start - context, whole.frames.shape[1], context)
    dreamt = dream_all(open_dream(world, lanes, steps), excerpt, lanes)
    shown: dict[str, npt.NDArray[np.uint8]] = {
        "world": np.concatenate([excerpt.last[:, None], dreamt], axis=1),
        "real": whole.frames[:, start - 1 :],
    }
    out: dict[str, Any] = {}
    for who, videos in shown.items():
        taken = [
            control.read(probe, video, codec) for probe, video in zip(found, videos, strict=True)
        ]
        out[who] = control.summarise(found, taken, codec)
        out[f"{who}_probes"] = {
            probe.clip.name: values for probe, values in zip(found, taken, strict=True)
        }
    return out


def flat(videos: Frames) -> Frames:
    """(B, T, H, W, 3) -> (B T, H, W, 3)."""
    return videos.reshape(-1, *videos.shape[-3:])
