"""Train an agent with PPO, in the dream or in the real game.

    python -m agents.train_ppo --task goto-tower --steps 500000 --out runs/goto
    torchrun --nproc-per-node 2 -m agents.train_ppo ...   # twice the lanes, one set of weights

The same command again resumes where the last one stopped. `tensorboard --logdir runs` shows returns
and films of the episodes.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from agents.callbacks import LAST, Clock, Film, Keep, Progress
from agents.hyperparams import PPO
from agents.lanes import add_arguments, codec_of, make_lanes, setup_of
from agents.saving import resume
from agents.team import TeamPPO, fingerprint
from nfd_gym.command import guarded
from nfd_gym.eval.results import commit
from nfd_gym.runtime.threads import settle
from nfd_gym.train.distributed import join, leave, mean


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = make_parser().parse_args(arguments)
    settle()
    origin = commit()  # asked once: it runs git
    team = join()
    setup = setup_of(args)
    seed = args.seed + team.rank * setup.lanes  # every lane of every rank has a seed of its own

    # 1. Lanes, and a policy that sees them.
    lanes = make_lanes(setup)
    model = TeamPPO(
        "CnnPolicy",
        lanes,
        team=team,
        seed=seed,
        device=args.device,
        tensorboard_log=str(args.out / "tensorboard") if team.leads and not args.no_board else None,
        **PPO
        | {
            "n_steps": args.n_steps,
            "batch_size": min(args.batch_size, args.n_steps * setup.lanes),
            "learning_rate": args.learning_rate,
            "ent_coef": args.entropy,
            "gamma": args.gamma,
            "gae_lambda": args.gae_lambda,
        },
    )

    # 2. What the agent's file will say about it. A decision is `repeat` ticks of one lane.
    per_decision = setup.repeat * team.ranks
    earlier = resume(model, args.out / LAST) if (args.out / LAST).exists() else {}
    if args.start and not earlier:
        model.set_parameters(str(args.start), device=model.device)
    clock = Clock(args.minutes, team, earlier.get("seconds", 0.0))

    def ticks() -> int:
        return int(model.num_timesteps * per_decision)

    def facts() -> dict[str, Any]:
        return {
            "algorithm": "ppo",
            "codec": codec_of(lanes).to_json(),
            "size": list(setup.view),
            "stack": setup.stack,
            "repeat": setup.repeat,
            "policy_kwargs": {},
            "setup": setup.facts(),
            "seed": args.seed,
            "ranks": team.ranks,
            "ticks": ticks(),
            "seconds": round(clock.seconds, 1),
            "command": "python -m agents.train_ppo " + shlex.join(arguments),
            "commit": origin,
        }

    # 3. Learn. Only the leading rank writes, films and draws the bar.
    callbacks: list[BaseCallback] = [clock]
    if team.leads:
        callbacks += [
            Keep(args.out, args.keep_every, facts),
            Film(args.out, args.film_every, 20 / setup.repeat, ticks),
            Progress(args.steps, ticks),
        ]
    left = args.steps // per_decision - model.num_timesteps
    if left > 0:
        model.learn(left, callbacks, reset_num_timesteps=not earlier, tb_log_name="ppo")
    weights = fingerprint(model)
    equal = abs(mean(weights, team) - weights) <= 1e-9 * abs(weights)
    lanes.close()
    if team.leads:
        replicas = f", replicas equal: {equal}" if team.ranks > 1 else ""
        print(f"{args.out / LAST}: {ticks()} ticks in {clock.seconds:.0f} s{replicas}")
    leave(team)
    return 0 if equal else 1


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agents.train_ppo", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_arguments(parser)
    add_training_arguments(parser)
    add = parser.add_argument_group("PPO").add_argument
    add("--n-steps", type=int, default=PPO["n_steps"], help="decisions per lane and update (64)")
    add("--batch-size", type=int, default=PPO["batch_size"], help="decisions per gradient (256)")
    add("--learning-rate", type=float, default=PPO["learning_rate"])
    add("--start", type=Path, metavar="AGENT.zip", help="begin with its weights (agents.clone)")
    add("--gamma", type=float, default=PPO["gamma"], help="discount per decision (0.99)")
    add("--gae-lambda", type=float, default=PPO["gae_lambda"], help="of the advantages (0.95)")
    add("--entropy", type=float, default=PPO["ent_coef"], help="bonus for trying things (0.01)")
    return parser


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """What all training scripts share."""
    add = parser.add_argument_group("training").add_argument
    add("--steps", type=int, default=500_000, help="ticks over all lanes and ranks (500000)")
    add("--minutes", type=float, help="stop earlier, after this much wall clock over all resumes")
    add("--seed", type=int, default=0)
    add("--out", type=Path, required=True, help="run folder")
    add("--keep-every", type=int, default=50_000, help="ticks between checkpoints (50000)")
    add("--film-every", type=int, default=50_000, help="ticks between films (50000)")
    add("--no-board", action="store_true", help="write no TensorBoard files")


if __name__ == "__main__":
    sys.exit(guarded("python -m agents.train_ppo", main))
