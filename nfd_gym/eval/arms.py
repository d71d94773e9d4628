"""`python -m nfd_gym.eval.arms`: the arms of a distillation side by side, on the same recordings.

    --arm teacher-18=/runs/denoiser@ode18  --arm teacher-1=/runs/denoiser@1.0
    --arm dcm-2=/runs/dcm@1.0,0.833        levels of few-step sampling
    --arm exact=/runs/dcm@1.0+exact        a pass of its own commits the finished frame
    --arm fresh=/runs/dcm@1.0,0.833+fresh  new noise at every step instead of the frame's own

One step ahead with the real last frame (all frames of a stretch in one pass), then free runs of 64
frames, and whether turns are obeyed. A teacher's ODE and fresh noise are judged one step ahead
only: free runs of the first would take as long as all the other arms together, and worlds have no
setting for the second. Temperature is what the world says; a run of no world has 1.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nfd_gym.data import open_source
from nfd_gym.data.clip import Source
from nfd_gym.diffusion.sample import Network, integrate, refine
from nfd_gym.eval import drift, results
from nfd_gym.eval.fidelity import at, dream_all
from nfd_gym.eval.frechet import frechet, latent_features
from nfd_gym.eval.inputs import Inputs, inputs
from nfd_gym.eval.metrics import edge_energy, psnr
from nfd_gym.eval.quick import turns
from nfd_gym.eval.rollout import Excerpt, Frames, cut
from nfd_gym.eval.subject import open_dream, open_world
from nfd_gym.eval.video import contact_sheet, write_png
from nfd_gym.model.carry import listen
from nfd_gym.noise import noise
from nfd_gym.runtime.threads import settle
from nfd_gym.world import WorldModel

LANES = 8
COLUMNS = (
    "arm", "evaluations", "one step dB", "one step edge", "one step Frechet", "free 10 dB",
    "free 64 dB", "free 64 edge", "free 64 latent std", "free 64 brightness",
    "turn sign", "turn rate",
)  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """One row: a world or run, and how it is sampled."""

    name: str
    path: Path
    sigmas: tuple[float, ...] = ()  # few-step levels
    ode: int = 0  # or so many Euler steps of the flow
    exact: bool = False
    fresh: bool = False

    @property
    def evaluations(self) -> int:
        return self.ode or len(self.sigmas) + self.exact


def parse(text: str) -> Arm:
    """NAME=FOLDER@1.0,0.833[+exact][+fresh] or NAME=FOLDER@ode18."""
    name, equals, rest = text.partition("=")
    folder, sign, how = rest.rpartition("@")
    levels, *more = how.split("+")
    if not (equals and sign and name and folder) or not {"exact", "fresh"}.issuperset(more):
        raise ValueError(
            f"--arm {text}: write NAME=FOLDER@1.0,0.833, with +exact or +fresh behind it if you "
            "like, or NAME=FOLDER@ode18."
        )
    if levels.startswith("ode"):
        return Arm(name, Path(folder), ode=int(levels[3:]))
    sigmas = tuple(float(level) for level in levels.split(","))
    return Arm(name, Path(folder), sigmas, exact="exact" in more, fresh="fresh" in more)


def measure(
    arm: Arm,
    data: Source,
    probes: Path | None,
    windows: int = 16,
    runs: int = 8,
    horizon: int = 64,
    ahead: int = 16,
) -> tuple[dict[str, Any], Frames | None]:
    """The figures of one arm and, but for an ODE, its free runs (runs, horizon, H, W, 3)."""
    world = open_world(arm.path, data)
    seen = world.denoiser.config.window + 1
    stretch = cut(data, windows, seen, ahead)
    shown = one_pass(world, stretch, arm)
    figures: dict[str, Any] = {
        "arm": arm.name,
        "evaluations": arm.evaluations,
        "one step dB": float(psnr(shown, stretch.real).mean()),
        "one step edge": float(edge_energy(shown).mean() / edge_energy(stretch.real).mean()),
        "one step Frechet": frechet(
            *(
                latent_features(world.tokenizer, frames.reshape(-1, *frames.shape[2:]))
                for frames in (shown, stretch.real)
            )
        ),
    }
    if arm.ode or arm.fresh:
        return figures, None
    context = "exact" if arm.exact else world.settings.context
    world = replace(world, settings=replace(world.settings, sigmas=arm.sigmas, context=context))
    free = cut(data, runs, seen, horizon)
    dreamt = dream_all(open_dream(world, LANES), free, LANES)
    curve = psnr(dreamt, free.real).mean(axis=0).tolist()
    ratios = drift.ratios(drift.picture_curves(dreamt), drift.picture_curves(free.real))
    latents = drift.ratios(
        drift.latent_curves(world.tokenizer, dreamt[:, -8:]),
        drift.latent_curves(world.tokenizer, free.real[:, -8:]),
    )
    figures |= {
        "free 10 dB": at(curve, 10),
        f"free {horizon} dB": at(curve, horizon),
        f"free {horizon} edge": at(ratios["edge_energy"].tolist(), horizon),
        f"free {horizon} latent std": float(latents["latent_std"].mean()),
        f"free {horizon} brightness": at(ratios["brightness"].tolist(), horizon),
    }
    if probes is not None:
        obeyed = turns(world, probes, seen, None)
        figures |= {
            "turn sign": obeyed["sign right"],
            "turn rate": obeyed["rate over command"],
        }
    return figures, dreamt


@torch.no_grad()
def one_pass(world: WorldModel, excerpt: Excerpt, arm: Arm) -> Frames:
    """Every horizon frame (B, horizon, H, W, 3) from the real frame before it. The frames of a
    stretch share each evaluation, so earlier frames are seen at the level of that evaluation."""
    out = []
    config = world.denoiser.config
    for index, part in enumerate(excerpt.batches(2)):
        given = inputs(world, part)
        denoiser, heard = listen(world.denoiser)

        def predict(
            noisy: Tensor, sigma: float, given: Inputs = given, denoiser: Network = denoiser
        ) -> Tensor:
            level = torch.full(noisy.shape[:2], sigma)
            return denoiser(noisy, level, given.actions, given.recycled)

        shape = (*given.actions.shape[:2], config.tokens, config.channels)
        draws = [
            world.settings.temperature * torch.from_numpy(noise(index, 0, 0, step, shape))
            for step in range(len(arm.sigmas) if arm.fresh else 1)
        ]
        clean = (
            integrate(predict, draws[0], arm.ode)
            if arm.ode
            else refine(predict, draws[0], arm.sigmas, draws[1:])
        )
        frames = given.show(world, clean, heard, part.context - 1)
        out.append(frames.reshape(len(clean), -1, *frames.shape[1:]))
    return np.concatenate(out)


def table(rows: Sequence[dict[str, Any]], horizon: int = 64) -> dict[str, Any]:
    """The rows as the results file shows them; what was not measured is a dash."""
    names = [name.replace("64", str(horizon)) for name in COLUMNS]
    return {"columns": names, "rows": [[row.get(name) for name in names] for row in rows]}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare the arms of a distillation.")
    parser.add_argument("--arm", action="append", required=True, metavar="NAME=FOLDER@LEVELS")
    parser.add_argument("--data", type=Path, required=True, help="held-out recordings")
    parser.add_argument("--probes", type=Path, help="probe recordings")
    parser.add_argument("--out", type=Path, default=Path("arms"), help="folder for pictures")
    parser.add_argument("--windows", type=int, default=16, help="stretches, one step ahead")
    parser.add_argument("--ahead", type=int, default=16, help="frames of a stretch")
    parser.add_argument("--runs", type=int, default=8, help="free runs")
    parser.add_argument("--horizon", type=int, default=64, help="frames of a free run")
    results.add_arguments(parser)
    parser.add_argument("--name", default="distill.arms", help="section of the results file")
    args = parser.parse_args(arguments)
    settle()
    data, rows = open_source(args.data), []
    args.out.mkdir(parents=True, exist_ok=True)
    for arm in [parse(text) for text in args.arm]:
        began = time.monotonic()
        row, dreamt = measure(
            arm, data, args.probes, args.windows, args.runs, args.horizon, args.ahead
        )
        rows.append(row)
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
        print(f"  {time.monotonic() - began:.0f} s", flush=True)
        if dreamt is not None:
            times = [t - 1 for t in (1, 4, 10, 24, 40, 64) if t <= args.horizon]
            write_png(args.out / f"{arm.name}.png", contact_sheet(list(dreamt), times))
    shown = table(rows, args.horizon)
    command = "python -m nfd_gym.eval.arms " + " ".join(arguments or sys.argv[1:])
    print(results.markdown(results.keep(args, args.name, {"table": shown}, command)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
