"""Action following: do the pictures show the actions that were given? MineWorld's tasks.

Part of `python -m nfd_gym eval` where there is a judge; alone, when the judge comes later:
python -m nfd_gym.eval.following --world W --data DIR
"""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np

from nfd_gym.data import open_source
from nfd_gym.eval import results
from nfd_gym.eval.fidelity import dream_all
from nfd_gym.eval.idm import AFTER, BEFORE, CLASSES, InverseDynamics, Labels, follow, labels
from nfd_gym.eval.rollout import Excerpt, Frames, cut
from nfd_gym.eval.subject import open_dream, open_world
from nfd_gym.eval.table import COLUMNS, following_rows
from nfd_gym.runtime.threads import settle
from nfd_gym.shipped import JUDGE

LANES = 8


def following(judge: InverseDynamics, excerpt: Excerpt, dream: Frames) -> dict[str, Any]:
    """Do the pictures show the actions that were given? For the dream and for the recordings."""
    lead = min(BEFORE, excerpt.context)
    told_parts: list[Labels] = []
    read_parts: dict[str, list[Labels]] = {"world": [], "real": []}
    whole = excerpt.span(excerpt.context - lead, excerpt.context + excerpt.horizon, lead)
    for i, video in enumerate(dream):
        seen = {"world": np.concatenate([whole.frames[i, :lead], video]), "real": whole.frames[i]}
        for who, frames in seen.items():
            read_parts[who].append(judge.read(frames))
        told_parts.append(labels(whole.actions[i, BEFORE : len(whole.actions[i]) - AFTER]))
    told = {task: np.concatenate([part[task] for part in told_parts]) for task in CLASSES}
    return {
        who: follow(told, {t: np.concatenate([part[t] for part in parts]) for t in CLASSES})
        for who, parts in read_parts.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Action following of one world.")
    parser.add_argument("--world", type=Path, required=True, help="world folder, or a denoiser run")
    parser.add_argument("--data", type=Path, required=True, help="held-out recordings")
    parser.add_argument("--judge", type=Path, default=JUDGE)
    parser.add_argument("--rollouts", type=int, default=24)
    parser.add_argument("--horizon", type=int, default=16, help="MineWorld compares 15 frames")
    results.add_arguments(parser)
    args = parser.parse_args()
    settle()
    judge, data = InverseDynamics.load(args.judge), open_source(args.data)
    world = open_world(args.world, data)
    context = world.denoiser.config.window + 1
    excerpt = cut(data, args.rollouts, context, args.horizon)
    found = following(judge, excerpt, dream_all(open_dream(world, LANES), excerpt, LANES))
    command = "python -m nfd_gym.eval.following " + shlex.join(sys.argv[1:])
    figures = {"table": {"columns": COLUMNS, "rows": following_rows(found)}}
    stored = results.keep(args, f"following.{world.name}", figures, command)
    print(results.markdown(stored))
    return 0


if __name__ == "__main__":
    sys.exit(main())
