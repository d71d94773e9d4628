"""Plots of an evaluation (matplotlib, from the `eval` extra)."""

from pathlib import Path
from typing import Any

try:
    from matplotlib.figure import Figure
except ImportError as error:  # pragma: no cover - depends on the installation
    raise ImportError("plots need matplotlib; type: pip install 'nfd_gym[eval]'") from error

COLOURS = {"world": "#1f77b4", "persistence": "#888888", "warp": "#2ca02c", "mean frame": "#d62728"}
DRIFT = ("edge_energy", "contrast", "brightness", "latent_std")


def plot_all(figures: dict[str, Any], out: Path) -> None:
    """horizon.png and drift.png."""
    horizon(figures, out / "horizon.png")
    drift(figures["drift"], out / "drift.png")


def horizon(figures: dict[str, Any], path: Path) -> None:
    """PSNR and SSIM against the frame index: short rollouts solid, long ones dotted."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, measure in zip(figure.subplots(1, 2), ("psnr", "ssim"), strict=True):
        for section, style in (("rollout", "-"), ("long_rollout", ":")):
            part = figures[section]
            every = part.get("every", 1)
            for method, curve in part[measure].items():
                frames = [every * (i + 1) for i in range(len(curve))]
                label = method if section == "rollout" else None
                axes.plot(frames, curve, style, color=COLOURS.get(method), label=label)
        axes.set_xscale("log", base=2)
        axes.set_xlabel("frame of a free rollout")
        axes.set_ylabel("PSNR, dB" if measure == "psnr" else "SSIM")
        axes.grid(alpha=0.3)
        axes.legend()
    short, long = figures["rollout"]["rollouts"], figures["long_rollout"]["rollouts"]
    figure.suptitle(f"Dream against recording ({short} rollouts solid, {long} dotted)")
    figure.savefig(path, dpi=110)


def drift(curves: dict[str, Any], path: Path) -> None:
    """Statistics over the recordings' mean, dream and recording."""
    figure = Figure(figsize=(10, 6), layout="constrained")
    for axes, name in zip(figure.subplots(2, 2).flat, DRIFT, strict=True):
        axes.axhspan(0.7, 1.4, color="#2ca02c", alpha=0.08)
        for who, colour in (("real", "#888888"), ("world", "#1f77b4")):
            axes.plot(curves[f"{who}_curves"][name], color=colour, label=who)
        axes.set_title(name.replace("_", " ") + " over real")
        axes.set_xlabel("frame")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)
