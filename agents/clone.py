"""Clone the players of recordings: a policy that does what they did at the same pictures.

    python -m agents.clone --env NFD-Crafter-v0 --data data/crafter --view 72 72 --stack 1 \\
        --repeat 1 --out runs/clone
    python -m agents.train_ppo --start runs/clone/last.zip ...     # goes on from it in the dream

The control of every agent trained in a learned world, which had the same recordings. The critic
learns the discounted rewards that followed.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from stable_baselines3 import PPO

from agents.callbacks import LAST
from agents.hyperparams import PPO as USUAL
from agents.lanes import Setup, add_arguments, codec_of, make_lanes, setup_of
from agents.saving import save_agent
from nfd_gym.command import guarded
from nfd_gym.data import Source, open_source
from nfd_gym.errors import UsageError
from nfd_gym.eval.results import commit
from nfd_gym.progress import Progress
from nfd_gym.runtime.resize import resize
from nfd_gym.runtime.threads import settle

HELD_OUT = 20  # every so many recordings are kept to be scored on
VALUE = 0.5  # weight of the critic's loss


@dataclass(frozen=True)
class Decisions:
    """What players saw, did and earned from there on."""

    frames: NDArray[np.uint8]  # (N,H,W,3), of the policy's view
    actions: NDArray[Any]  # (N,...) of the action space
    returns: NDArray[np.float32]  # (N,) discounted
    firsts: NDArray[np.int64]  # (N,) row of the recording's first frame


def read(source: Source, indices: Sequence[int], setup: Setup, codec: Any) -> Decisions:
    """The decisions of some recordings; the last frame of each is no decision."""
    parts: list[tuple[Any, ...]] = []
    rows = 0
    with Progress(len(indices), "recordings") as bar:
        for index in indices:
            clip = source.read(index)
            if len(clip) > 1:
                small = resize(torch.from_numpy(clip.frames[:-1]), setup.view).numpy()
                chosen = np.stack([codec.decode(vector) for vector in clip.actions[1:]])
                earned = np.zeros(len(clip)) if clip.rewards is None else clip.rewards
                parts.append((small, chosen, discounted(earned[1:], USUAL["gamma"]),
                              np.full(len(small), rows)))  # fmt: skip
                rows += len(small)
            bar.add()
    if not parts:
        raise UsageError("no recording has two frames; record longer ones.")
    return Decisions(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def discounted(rewards: NDArray[Any], gamma: float) -> NDArray[np.float32]:
    """Sums (T,) of the rewards from each step on, the later the less."""
    out, ahead = np.zeros(len(rewards), np.float32), 0.0
    for step in reversed(range(len(rewards))):
        ahead = float(rewards[step]) + gamma * ahead
        out[step] = ahead
    return out


def seen(told: Decisions, rows: NDArray[np.int64], stack: int) -> torch.Tensor:
    """What the policy sees (B,3*stack,H,W); before a recording there is black, as in play."""
    pictures = []
    for back in reversed(range(stack)):
        row = rows - back
        frame = told.frames[np.maximum(row, 0)] * (row >= told.firsts[rows])[:, None, None, None]
        pictures.append(frame.transpose(0, 3, 1, 2))
    return torch.from_numpy(np.concatenate(pictures, 1).astype(np.uint8))


def fit(model: PPO, told: Decisions, stack: int, steps: int, batch: int, rate: float) -> None:
    """Side effect: the policy of `model` does what was done and expects what came of it."""
    random = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(model.policy.parameters(), rate, weight_decay=1e-4)
    model.policy.set_training_mode(True)
    with Progress(steps, "steps") as bar:
        for number in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1.0, (number + 1) / 100, (steps - number) / (0.3 * steps))
            rows = random.integers(len(told.actions), size=batch)
            actions = torch.from_numpy(told.actions[rows])
            value, likely, _ = model.policy.evaluate_actions(seen(told, rows, stack), actions)
            earned = torch.from_numpy(told.returns[rows])
            loss = -likely.mean() + VALUE * F.mse_loss(value[:, 0], earned)  # type: ignore[union-attr]
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.policy.parameters(), 1.0)
            optimiser.step()
            bar.add()
    model.policy.set_training_mode(False)


@torch.no_grad()
def accuracy(model: PPO, told: Decisions, stack: int) -> float:
    """Share of recorded actions that are the policy's likeliest."""
    right = 0
    for first in range(0, len(told.actions), 256):
        rows = np.arange(first, min(first + 256, len(told.actions)))
        best = model.policy.get_distribution(seen(told, rows, stack)).mode().numpy()
        right += int((best == told.actions[rows]).reshape(len(rows), -1).all(1).sum())
    return right / len(told.actions)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m agents.clone", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_arguments(parser, repeat=1, stack=1)
    add = parser.add_argument_group("cloning").add_argument
    add("--data", type=Path, required=True, help="recordings")
    add("--steps", type=int, default=3000, help="gradients (3000)")
    add("--batch-size", type=int, default=256, help="decisions per gradient (256)")
    add("--learning-rate", type=float, default=5e-4)
    add("--out", type=Path, required=True, help="run folder")
    args = parser.parse_args(arguments)
    settle()
    setup = setup_of(args)
    if setup.repeat != 1:
        raise UsageError("recordings have an action a tick: clone with --repeat 1.")
    began = time.monotonic()
    lanes = make_lanes(replace(setup, lanes=1))
    model = PPO("CnnPolicy", lanes, seed=0, device="cpu", **USUAL | {"n_steps": 8, "batch_size": 8})
    codec = codec_of(lanes)
    source = open_source(args.data)
    every = range(len(source.names))
    told = read(source, [i for i in every if i % HELD_OUT or len(every) < 2], setup, codec)
    fit(model, told, setup.stack, args.steps, args.batch_size, args.learning_rate)
    held = read(source, every[::HELD_OUT], setup, codec)
    right = accuracy(model, held, setup.stack)
    lanes.close()
    facts = {
        "algorithm": "ppo",
        "codec": codec.to_json(),
        "size": list(setup.view),
        "stack": setup.stack,
        "repeat": setup.repeat,
        "policy_kwargs": {},
        "setup": setup.facts() | {"env": "recordings"},
        "ticks": 0,
        "accuracy": round(right, 4),
        "seconds": round(time.monotonic() - began, 1),
        "command": "python -m agents.clone " + shlex.join(arguments),
        "commit": commit(),
    }
    save_agent(model, args.out / LAST, facts)
    print(f"{args.out / LAST}: {100 * right:.1f} % of held-out actions right")
    return 0


if __name__ == "__main__":
    sys.exit(guarded("python -m agents.clone", main))
