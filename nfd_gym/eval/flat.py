"""`nfd-gym eval` of a world without a camera: one step and free runs beside the recordings.

Beside the dream stand what memory shows without the net, the last frame repeated, and the recording
through the world's own code, which no prediction can exceed. PushT is measured by the states that
pictures show, Crafter by tiles and by chance.
"""

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.data import Source, open_source
from nfd_gym.eval import crafter, pusht, results
from nfd_gym.eval.metrics import psnr, ssim
from nfd_gym.eval.rollout import Excerpt, Frames, cut, dreamt
from nfd_gym.model.pixels import to_float, to_uint8
from nfd_gym.world import World

AT = (1, 16, 64, 256)


def main(args: argparse.Namespace, world: World) -> int:
    """Prints the tables. Side effect: stores them where --publish or --results asks for it."""
    command = f"nfd-gym eval --world {world.name}"
    if args.data is not None:
        told = f"{command} --data {args.data} --runs {args.runs} --frames {args.frames}"
        source = open_source(args.data, codec=world.codec)
        tables = {"one-step": one_step(world, source, args.runs * 10, args.engine)}
        real = cut(source, args.runs, world.denoiser.config.window + 1, args.frames)
        made = dreamt(world, real, args.engine)
        tables["open-loop"] = open_loop(made, real)
        if pusht.fits(world):
            tables["states"] = pusht.state_table(made, real)
            tables["untouched"] = pusht.untouched_table(world, args.engine)
        if crafter.fits(world):
            tables |= crafter.tables(world, source, real, made, args.engine)
        for name, table in tables.items():
            kept = results.keep(args, f"{world.name}-{name}", {"table": table}, told)
            print(f"{name}\n\n{results.markdown(kept)}")
    return 0


def one_step(world: World, source: Source, count: int, engine: str) -> dict[str, Any]:
    """PSNR of the next frame: dream, memory's view, last frame, true frame through the code."""
    real = cut(source, count, world.denoiser.config.window + 1, 1)
    made, shown = dreamt(world, real, engine)[:, 0], real.real[:, 0]
    rows = [
        ("dream", made), ("memory's view, no net where it knows", remembered(world, real, engine)),
        ("last frame", real.last), ("through the code", coded(world, shown)),
    ]  # fmt: skip
    moving = psnr(real.last, shown) < np.median(psnr(real.last, shown))
    columns = ["frame", "stretches", "PSNR dB", "PSNR dB, half that changes more", "SSIM"]
    table = []
    for name, frames in rows:
        quality = psnr(frames, shown)
        likeness = float(ssim(frames, shown).mean())
        table.append([name, count, float(quality.mean()), float(quality[moving].mean()), likeness])
    return {"columns": columns, "rows": table}


def open_loop(made: Frames, real: Excerpt) -> dict[str, Any]:
    """PSNR by frame of free runs."""
    columns = ["frame", "stretches", "dream dB", "first frame dB", "SSIM", "edges / real"]
    rows: list[list[Any]] = []
    for step in AT:
        if step <= real.horizon:
            shown, drawn = real.real[:, step - 1], made[:, step - 1]
            rows.append([
                step, len(made), float(psnr(drawn, shown).mean()),
                float(psnr(real.last, shown).mean()), float(ssim(drawn, shown).mean()),
                float(np.median(edges(drawn) / edges(shown))),
            ])  # fmt: skip
    return {"columns": columns, "rows": rows}


def remembered(world: World, real: Excerpt, engine: str) -> Frames:
    """The next frames (B,H,W,3) with every known token as memory shows it."""
    kept = replace(world.settings, hold=255.0)
    return dreamt(replace(world, settings=kept), real, engine)[:, 0]


@torch.no_grad()
def coded(world: World, frames: Frames) -> Frames:
    """Frames (B,H,W,3) through the world's code and back."""
    code = world.tokenizer
    return np.asarray(
        to_uint8(code.decode(code.encode(to_float(torch.from_numpy(frames))))[0]).numpy()
    )


def edges(frames: Frames) -> NDArray[np.float32]:
    """Mean absolute difference of neighbouring pixels of frames (B,H,W,3) -> (B,)."""
    f = frames.astype(np.float32)
    across, down = np.abs(np.diff(f, axis=1)), np.abs(np.diff(f, axis=2))
    return np.asarray(across.mean((1, 2, 3)) + down.mean((1, 2, 3)))
