"""The figures of an evaluation as one table: the world beside its baselines and the judges'
ceilings."""

from typing import Any

from nfd_gym.eval.fidelity import at

COLUMNS = ["figure", "world", "persistence", "warp", "mean frame", "real or ceiling", "of"]
METHODS = ("world", "persistence", "warp", "mean frame")


def table(figures: dict[str, Any]) -> dict[str, Any]:
    """{"columns", "rows"} of everything that was measured; "of" says how many frames or probes."""
    rows: list[list[Any]] = []
    ahead = figures["one_step"]
    for measure, unit in (("psnr", "PSNR, dB"), ("ssim", "SSIM")):
        kinds = ahead[measure]["count"] if measure == "psnr" else ["all"]
        for kind in kinds:
            count = ahead[measure]["count"][kind]
            if count:
                values = [ahead[measure].get(m, {}).get(kind) for m in METHODS]
                ceiling = ahead[measure]["tokenizer"].get(kind)
                rows.append(
                    [f"one step ahead, {kind}: {unit}", *values, ceiling, f"{count} frames"]
                )
    rows += horizon_rows(figures)
    rows += drift_rows(figures["drift"], figures["long_rollout"]["rollouts"])
    rows += returning_rows(figures.get("returning", {}))
    for part, row in figures["frechet"].items():
        if isinstance(row, dict):
            what = "FVD (I3D)" if part == "fvd" else f"Frechet distance, own encoder, frames {part}"
            size = f"{row['videos']} videos" if part == "fvd" else f"{row['pictures']} pictures"
            rows.append([what, row["world"], None, None, None, row.get("real"), size])
    shuffled = figures["shuffled_actions"]
    for key, what in (
        ("ratio", "loss, other actions / true"),
        ("ratio_network", "same, last frame turned right"),
    ):
        rows.append([what, shuffled[key], None, None, None, None, f"{shuffled['windows']} windows"])
    if "action_following" in figures:
        rows += following_rows(figures["action_following"])
    if "control" in figures:
        rows += control_rows(figures["control"])
    return {"columns": COLUMNS, "rows": rows}


def horizon_rows(figures: dict[str, Any]) -> list[list[Any]]:
    """Free rollouts at a few frame indices."""
    rows: list[list[Any]] = []
    for section, frames in (("rollout", (1, 10, 32, 64)), ("long_rollout", (128, 256))):
        part = figures[section]
        every = part.get("every", 1)
        for measure, unit in (("psnr", "PSNR, dB"), ("ssim", "SSIM")):
            for frame in frames:
                values = [at(part[measure].get(m, []), frame // every) for m in METHODS]
                if any(value is not None for value in values):
                    name = f"free rollout, frame {frame}: {unit}"
                    rows.append([name, *values, None, f"{part['rollouts']} rollouts"])
    return rows


def drift_rows(drift: dict[str, Any], rollouts: int) -> list[list[Any]]:
    """Late over real, for the statistics that go wrong first."""
    rows: list[list[Any]] = []
    for key, what in (
        ("edge_energy", "edge energy"),
        ("contrast", "contrast"),
        ("brightness", "brightness"),
        ("flicker", "flicker"),
        ("latent_std", "latent standard deviation"),
    ):
        for part in drift["world"][key]:
            ours, theirs = drift["world"][key][part], drift["real"][key][part]
            name = f"{what} over real, frames {part}"
            rows.append([name, ours, None, None, None, theirs, f"{rollouts} rollouts"])
    return rows


def returning_rows(returning: dict[str, Any]) -> list[list[Any]]:
    """What was left behind, after coming back to it."""
    rows: list[list[Any]] = []
    for degrees, found in returning.items():
        if degrees != "stretches":
            size = f"{returning['stretches']} stretches"
            name = f"looked {degrees} degrees away and back: PSNR, dB"
            rows.append([name, found["back"], None, None, None, None, size])
            name = f"the same, while {degrees} degrees away"
            rows.append([name, found["away"], None, None, None, None, size])
    return rows


def following_rows(following: dict[str, Any]) -> list[list[Any]]:
    """MineWorld's tasks, judged by the inverse-dynamics net."""
    ours, theirs = following["world"], following["real"]
    size = f"{ours['frames']} frames"
    rows = [
        [
            f"action following, {task}: F1 macro",
            values["f1"],
            None,
            None,
            None,
            theirs["tasks"][task]["f1"],
            size,
        ]
        for task, values in ours["tasks"].items()
    ]
    for key in ("micro", "precision", "recall", "f1"):
        name = (
            f"action following, mean: {'accuracy (F1 micro)' if key == 'micro' else key + ' macro'}"
        )
        rows.append([name, ours["mean"].get(key), None, None, None, theirs["mean"].get(key), size])
    rows.append(
        [
            "camera bin error",
            ours["camera_bin_error"],
            None,
            None,
            None,
            theirs["camera_bin_error"],
            size,
        ]
    )
    return rows


def control_rows(control: dict[str, Any]) -> list[list[Any]]:
    """What the probes say, beside the same judge on the recordings."""
    ours, theirs = control["world"], control["real"]
    return [
        [what, ours[key], None, None, None, theirs[key], f"{ours[size]} probes"]
        for key, what, size in (
            ("turn_sign_right", "turns and looks the commanded way, share", "turn_probes"),
            ("rate_over_command", "rate of turning over command, mean", "turn_probes"),
            ("rate_error_median", "error of that rate, median", "turn_probes"),
            (
                "forward_back_right",
                "forward and back told apart by expansion, share",
                "walk_probes",
            ),
            ("walk_metres_per_second", "walking speed, m/s (flat ground)", "walk_probes"),
            ("left_right_right", "left and right strafing told apart, share", "strafe_probes"),
            ("noop_degrees_per_tick", "turning while told nothing, degrees a tick", "noop_probes"),
            ("dug", "dug block disappears, share", "dig_probes"),
            ("dug_share_mean", "share of the real change at the crosshair", "dig_probes"),
        )
    ]
