"""Does what is learned in the dream hold in the real game? And do dreams rank policies rightly?

    python -m agents.transfer --task goto-tower --policy random scripted runs/goto-*/agent-*.zip \\
        --out runs/transfer-goto --publish

Every policy plays the same seeds in the dream and in the real game. Scores are kept in OUT/scores,
so an interrupted comparison continues. A training whose dream return rises while its real one falls
has learned the dream's mistakes; its row is flagged.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agents.evaluate import (
    Episode,
    Score,
    add_scoring_arguments,
    label,
    score,
    setup_for,
)
from agents.lanes import TASK, Setup, add_arguments
from agents.rivals import KINDS, make_rival
from agents.saving import write_whole
from agents.scores import Interval, apart, hacking, rank_interval
from nfd_gym.command import guarded
from nfd_gym.eval import results
from nfd_gym.runtime.threads import settle

ENOUGH = 12  # policies for a rank correlation worth the name
COLUMNS = [
    "policy", "trained in", "ticks", "minutes", "dream return", "real return",
    "beats random in reality", "share of real-trained", "flag",
]  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One policy in both worlds."""

    policy: str
    dream: Score
    real: Score

    @property
    def run(self) -> str:
        """The training that a checkpoint belongs to; "" for policies that were not trained."""
        return str(Path(self.policy).parent) if self.dream.facts else ""

    @property
    def trained_in(self) -> str:
        return str(self.dream.facts.get("setup", {}).get("env", "-"))

    @property
    def ticks(self) -> int | None:
        return self.dream.facts.get("ticks")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = make_parser().parse_args(arguments)
    settle()
    rows: list[Row] = []
    for word in args.policy:
        dream, real = (kept_score(args, word, setup_for(args, e)) for e in (args.dream, args.real))
        rows.append(Row(word, dream, real))
        print(f"{word:40} dream {dream.interval}   real {real.interval}", flush=True)
    figures = compare(rows)
    figures["task"], figures["episodes"], figures["horizon"] = (
        args.task or TASK,
        args.episodes,
        args.horizon,
    )
    command = "python -m agents.transfer " + shlex.join(arguments)
    text = json.dumps({**figures, "command": command, "commit": results.commit(),
                       "machine": results.machine()}, indent=1)  # fmt: skip
    write_whole(args.out / "transfer.json", (text + "\n").encode())
    plot(rows, figures, args.out / "transfer.png")
    if args.publish:
        results.publish(f"agents.transfer.{args.task or TASK}", figures, command)
    print(verdict(figures))
    return 0


def kept_score(args: argparse.Namespace, word: str, setup: Setup) -> Score:
    """The score on disk if it was made with the same settings, else a new one."""
    path = args.out / "scores" / f"{label(word)}-{setup.env}.json"
    rival = make_rival(word, args.repeat, args.device, args.deterministic)
    asked = {
        "setup": setup.facts(), "episodes": args.episodes, "seed": args.seed,
        "deterministic": args.deterministic, "facts": rival.facts,
    }  # fmt: skip
    if path.exists():
        known = json.loads(path.read_text("utf-8"))
        if known["asked"] == json.loads(json.dumps(asked)):
            return from_json(known["score"])
    made = score(rival, setup, args.episodes, args.seed)
    text = json.dumps(
        {"asked": asked, "score": made.to_json() | {"seconds": made.seconds}}, indent=1
    )
    write_whole(path, (text + "\n").encode())
    return made


def from_json(data: dict[str, Any]) -> Score:
    episodes = [
        Episode(
            line["seed"],
            line["return"],
            line["ticks"],
            line["terminated"],
            tuple(line.get("unlocked", ())),
        )
        for line in data["episodes"]
    ]
    return Score(data["policy"], data["setup"], episodes, data["seconds"], data["facts"])


def compare(rows: Sequence[Row]) -> dict[str, Any]:
    """The table and the figures under it."""
    chance = next((row for row in rows if row.policy.partition(":")[0] == "random"), None)
    flags = hacked(rows)
    lines = []
    for row in rows:
        beats = None if chance is None else apart(row.real.interval, chance.real.interval)
        seconds = row.dream.facts.get("seconds")
        lines.append([
            results.portable(row.policy), row.trained_in, row.ticks,
            None if seconds is None else seconds / 60,
            str(row.dream.interval), str(row.real.interval), beats, share(row, rows),
            flags.get(row.policy, ""),
        ])  # fmt: skip
    rho = rank_interval([row.dream.returns for row in rows], [row.real.returns for row in rows])
    return {
        "table": {"columns": COLUMNS, "rows": lines},
        "rank_correlation": {name: finite(getattr(rho, name)) for name in ("mean", "low", "high")},
        "policies": len(rows),
        "enough_policies": len(rows) >= ENOUGH,
        "flagged": sorted(flags),
    }


def share(row: Row, rows: Sequence[Row]) -> float | None:
    """A dream-trained policy's real return over that of the best policy trained in the real game
    for no more ticks than it: what the dream kept of what reality would have taught."""
    if not row.run or not setup_dreams(row):
        return None
    rivals = [
        r
        for r in rows
        if r.run and not setup_dreams(r) and (r.ticks or 0) <= 1.1 * (row.ticks or 0)
    ]
    most = max((r.real.interval.mean for r in rivals), default=0.0)
    return row.real.interval.mean / most if most > 0 else None


def setup_dreams(row: Row) -> bool:
    return row.trained_in.startswith("NFD")


def hacked(rows: Sequence[Row]) -> dict[str, str]:
    """policy -> what is wrong, for checkpoints that rose in the dream and fell in reality."""
    flags: dict[str, str] = {}
    for run in dict.fromkeys(row.run for row in rows if row.run and setup_dreams(row)):
        steps = sorted((row for row in rows if row.run == run), key=lambda row: row.ticks or 0)
        found = hacking([row.dream.returns for row in steps], [row.real.returns for row in steps])
        if found is not None:
            early, late = found
            flags[steps[late].policy] = (
                f"reward hacking: since {steps[early].ticks} ticks the dream pays more, "
                "reality less"
            )
    return flags


def verdict(figures: dict[str, Any]) -> str:
    rho, count = figures["rank_correlation"], figures["policies"]
    words = (
        f"rank correlation of dream and real return: {rho['mean']} [{rho['low']}, {rho['high']}] "
    )
    words += f"over {count} policies"
    if not figures["enough_policies"]:
        words += f" (too few to rely on: {ENOUGH} are wanted)"
    if figures["flagged"]:
        words += f"; reward hacking in {', '.join(figures['flagged'])}"
    return words


def finite(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None


def plot(rows: Sequence[Row], figures: dict[str, Any], path: Path) -> None:
    """Dream return against real return, one point per policy."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        where = {"-": "#888888"}.get(row.trained_in, "#1f77b4" if setup_dreams(row) else "#2ca02c")
        dream, real = row.dream.interval, row.real.interval
        axes.errorbar(
            dream.mean, real.mean, xerr=sides(dream), yerr=sides(real), fmt="o", color=where
        )
        axes.annotate(Path(row.policy).stem, (dream.mean, real.mean), fontsize=6)
    axes.set_xlabel("return in the dream")
    axes.set_ylabel("return in the real game")
    axes.set_title(f"{figures['task']}: {verdict(figures)}", fontsize=7, wrap=True)
    axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def sides(middle: Interval) -> list[list[float]]:
    """Error bars as matplotlib wants them."""
    return [[max(0.0, middle.mean - middle.low)], [max(0.0, middle.high - middle.mean)]]


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agents.transfer", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_arguments(parser, lanes=4, horizon=400, split="test")
    add_scoring_arguments(parser)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for scores, table and plot")
    add("--dream", default="NFD-Minecraft-v0", help="(NFD-Minecraft-v0)")
    add("--real", default="Luanti-v0", help="(Luanti-v0)")
    add("--policy", nargs="+", required=True, help=KINDS)
    add("--publish", action="store_true", help="merge the table into assets/results.json")
    return parser


if __name__ == "__main__":
    sys.exit(guarded("python -m agents.transfer", main))
