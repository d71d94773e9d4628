"""A minute's look at a world: enough to choose between training arms, too little to publish."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from nfd_gym.actions import KeysAndMouse
from nfd_gym.data import open_source
from nfd_gym.data.clip import Source
from nfd_gym.eval import control
from nfd_gym.eval.fidelity import at, dream_all, one_step, rivals
from nfd_gym.eval.metrics import edge_energy, psnr
from nfd_gym.eval.readings import read_turn
from nfd_gym.eval.rollout import Frames, cut, stack
from nfd_gym.eval.subject import open_dream, open_world
from nfd_gym.eval.video import contact_sheet, write_png
from nfd_gym.runtime.threads import settle
from nfd_gym.world import WorldModel

LANES = 8
PROBED = ("turn_left", "turn_right", "look_up", "look_down")
PROBE_TICKS = 10


def quick(
    world: WorldModel,
    data: Source,
    probes: Path | None = None,
    frames: int = 256,
    rollouts: int = 8,
    horizon: int = 64,
    steps: int | None = None,
) -> tuple[dict[str, Any], Frames]:
    """(figures, contact sheet of real and dreamt frames 1, 4, 10, 24, 40, 64)."""
    began = time.monotonic()
    context = world.denoiser.config.window + 1  # the first one is not committed
    dream = open_dream(world, LANES, steps)
    ahead = one_step(world, cut(data, max(1, frames // 16), context, 16))
    free = cut(data, rollouts, context, horizon)
    dreamt = dream_all(dream, free, LANES)
    curves = {
        method: psnr(shown, free.real).mean(axis=0).tolist()
        for method, shown in {"world": dreamt, **rivals(free, world.codec)}.items()
    }
    edges = edge_energy(dreamt).mean(axis=0) / edge_energy(free.real).mean()
    figures: dict[str, Any] = {
        "one step": ahead["psnr"],
        "one step ssim": {
            method: v["all"] for method, v in ahead["ssim"].items() if method != "count"
        },
        "free 10": {method: at(curve, 10) for method, curve in curves.items()},
        f"free {horizon}": {method: at(curve, horizon) for method, curve in curves.items()},
        "edge ratio": {str(n): at(edges.tolist(), n) for n in (1, 10, horizon)},
    }
    if probes is not None and isinstance(world.codec, KeysAndMouse) and world.codec.camera:
        figures["turns"] = turns(world, probes, context, steps)
    figures["seconds"] = time.monotonic() - began
    times = [t - 1 for t in (1, 4, 10, 24, 40, 64) if t <= horizon]
    shown = [video for pair in zip(free.real, dreamt, strict=True) for video in pair]
    return figures, contact_sheet(shown, times)


def turns(world: WorldModel, folder: Path, context: int, steps: int | None) -> dict[str, Any]:
    """Sign and rate of turns and looks over a few ticks."""
    assert isinstance(world.codec, KeysAndMouse) and world.codec.camera is not None
    probes = control.load_probes(open_source(folder), folder, PROBED)
    # One tick later than the context: the first action after it is still the context's own.
    start = probes[0].context + 1
    whole = stack([probe.clip for probe in probes], start)
    excerpt = whole.span(start - context, start + PROBE_TICKS, context)
    dreamt = dream_all(open_dream(world, LANES, steps), excerpt, LANES)
    right, ratios = [], []
    dpitch, dyaw = world.codec.rotation(excerpt.actions[:, excerpt.context :])
    for i, probe in enumerate(probes):
        assert excerpt.pitch is not None
        video = np.concatenate([excerpt.last[i : i + 1], dreamt[i]])
        view = np.full(len(video), excerpt.pitch[i, excerpt.context - 1])
        seen = read_turn(video, view, world.codec.camera.fov_y)
        look = probe.action.startswith("look")
        told = float((dpitch if look else dyaw)[i].mean())
        ratios.append((seen.pitch if look else seen.yaw) / told)
        right.append(ratios[-1] > 0.1)
    return {
        "probes": len(probes),
        "sign right": float(np.mean(right)),
        "rate over command": float(np.mean(ratios)),
    }


def lines(figures: dict[str, Any]) -> list[str]:
    """The figures as a few lines of text."""
    out = []
    ahead = figures["one step"]
    names = list(ahead["count"])
    out.append("one step PSNR  " + "".join(f"{name:>17}" for name in names))
    for method, values in ahead.items():
        cells = (values.get(name) for name in names)
        row = "".join(
            f"{'-' if v is None else format(v, '.2f' if method != 'count' else 'd'):>17}"
            for v in cells
        )
        out.append(f"  {method:<13}{row}")
    for name, values in figures.items():
        if name not in ("one step", "seconds"):
            row = "  ".join(
                f"{k} {v:.3g}" if v is not None else f"{k} -" for k, v in values.items()
            )
            out.append(f"{name}: {row}")
    out.append(f"{figures['seconds']:.0f} s")
    return out


def run(
    world: Path, data: Path, out: Path, probes: Path | None, steps: int | None = None
) -> dict[str, Any]:
    """Load, measure, print, and write the contact sheet."""
    source = open_source(data)
    figures, sheet = quick(open_world(world, source), source, probes, steps=steps)
    out.mkdir(parents=True, exist_ok=True)
    write_png(out / "quick.png", sheet)
    print("\n".join(lines(figures)))
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description="A minute's look at a world or a denoiser run.")
    parser.add_argument("--world", type=Path, required=True, help="world folder or denoiser run")
    parser.add_argument("--data", type=Path, required=True, help="held-out recordings")
    parser.add_argument("--probes", type=Path, help="probe recordings")
    parser.add_argument("--out", type=Path, default=Path("quick"))
    parser.add_argument("--steps", type=int, help="denoising steps instead of the world's own")
    args = parser.parse_args()
    settle()
    run(args.world, args.data, args.out, args.probes, args.steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
