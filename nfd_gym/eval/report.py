"""python -m nfd_gym eval: measure a world against held-out recordings and write it all down."""

import argparse
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from nfd_gym.data import open_source
from nfd_gym.eval import quick, results
from nfd_gym.eval.idm import InverseDynamics
from nfd_gym.eval.measure import Amount, Report, measure
from nfd_gym.eval.subject import open_world
from nfd_gym.eval.table import table
from nfd_gym.eval.video import contact_sheet, side_by_side, write_gif, write_mp4, write_png
from nfd_gym.runtime.threads import settle
from nfd_gym.shipped import JUDGE

USUAL_MINUTES = 6.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--world", type=Path, required=True, help="world folder, or a denoiser run")
    parser.add_argument("--data", type=Path, required=True, help="held-out recordings")
    parser.add_argument("--probes", type=Path, help="probe recordings (controllability)")
    parser.add_argument("--out", type=Path, required=True, help="folder for figures and films")
    parser.add_argument("--quick", action="store_true", help="one minute: for comparing arms only")
    parser.add_argument("--minutes", type=float, help="about how long on two free cores (usual: 6)")
    parser.add_argument("--clips", type=int, help="number of free rollouts (usual: 24)")
    parser.add_argument("--steps", type=int, help="denoising steps instead of the world's own")
    parser.add_argument("--judge", type=Path, help="inverse-dynamics judge (default: ours)")
    parser.add_argument("--i3d", type=Path, help="i3d_torchscript.pt of your own, for the real FVD")
    parser.add_argument("--name", help="section of the results file (default: eval.WORLD)")
    results.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    settle()
    if args.quick:
        quick.run(args.world, args.data, args.out, args.probes, args.steps)
        return 0
    # Before the work, so that a missing extra is said at once.
    from nfd_gym.eval.plots import plot_all

    began = time.monotonic()
    data = open_source(args.data)
    world = open_world(args.world, data)
    report = measure(
        world,
        data,
        probes=args.probes,
        judge=find_judge(args.judge),
        i3d=args.i3d,
        amount=find_amount(args.minutes, args.clips),
        steps=args.steps,
    )
    figures = report.figures
    figures["seconds"] = time.monotonic() - began
    figures["denoising_steps"] = args.steps or len(world.settings.sigmas)
    shown = table(figures)
    args.out.mkdir(parents=True, exist_ok=True)
    write_files(report, args.out, world.settings.fps)
    plot_all(figures, args.out)
    section = args.name or f"eval.{world.name}"
    command = "python -m nfd_gym eval " + shlex.join(sys.argv[2:])
    summary = {"table": shown, "seconds": figures["seconds"]}
    stored = results.keep(args, section, summary, command)
    if args.publish:
        results.keep(args, "quality", {"table": headlines(shown)}, command)
    text = results.markdown(stored)
    (args.out / "table.md").write_text(text, "utf-8")
    print(text)
    return 0


HEADLINES = (
    "one step ahead, all: PSNR",
    "one step ahead, camera: PSNR",
    "one step ahead, walking: PSNR",
    "one step ahead, standing: PSNR",
    "free rollout, frame 10: PSNR",
    "free rollout, frame 64: PSNR",
    "looked 90 degrees away and back",
    "edge energy over real, frames 17-64",
    "edge energy over real, frames 129-256",
    "Frechet distance, own encoder, frames 17-64",
    "loss, other actions / true",
    "turns and looks the commanded way",
    "rate of turning over command",
    "forward and back told apart",
    "walking speed",
    "dug block disappears",
)


def headlines(whole: dict[str, Any]) -> dict[str, Any]:
    """The rows that the front page shows, good and bad alike."""
    rows = [row for row in whole["rows"] if str(row[0]).startswith(HEADLINES)]
    return {"columns": whole["columns"], "rows": rows}


def find_judge(path: Path | None) -> InverseDynamics:
    """The named judge, or the one that comes with the package."""
    return InverseDynamics.load(path or JUDGE)


def find_amount(minutes: float | None, clips: int | None) -> Amount:
    """The usual amount, scaled to a time, or with a number of rollouts."""
    amount = Amount().scaled((minutes or USUAL_MINUTES) / USUAL_MINUTES)
    return amount if clips is None else amount.scaled(clips / amount.rollouts)


def write_files(report: Report, out: Path, fps: float) -> None:
    """eval.json, contact sheets and films of real | dream."""
    draft = out / f".eval.json.{os.getpid()}.tmp"
    draft.write_text(json.dumps(clean(report.figures), indent=1, allow_nan=False) + "\n", "utf-8")
    os.replace(draft, out / "eval.json")
    for name, excerpt, dream, times in (
        ("rollouts", report.short, report.short_dream, (1, 2, 4, 8, 16, 32, 64)),
        ("long", report.long, report.long_dream, (1, 8, 32, 64, 128, 192, 256)),
    ):
        rows = [video for pair in zip(excerpt.real[:8], dream[:8], strict=True) for video in pair]
        picked = [t - 1 for t in times if t <= excerpt.horizon]
        write_png(out / f"{name}.png", contact_sheet(rows, picked))
    films = [
        side_by_side(real, dream)
        for real, dream in zip(report.long.real, report.long_dream, strict=True)
    ]
    for index, film in enumerate(films[:4]):
        write_mp4(out / f"dream-{index}.mp4", film, fps)
    short = side_by_side(report.short.real[0], report.short_dream[0])
    write_gif(out / "dream.gif", short, fps)


def clean(value: Any) -> Any:
    """JSON has no infinities and no numpy numbers."""
    if isinstance(value, dict):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean(item) for item in value]
    if hasattr(value, "item"):
        return clean(value.item())
    if isinstance(value, float):
        return float(f"{value:.5g}") if abs(value) < float("inf") else None
    return value
