"""Train an agent that remembers: PPO with an LSTM (sb3-contrib).

    python -m agents.train_recurrent_ppo --task goto-tower --lanes 8 --out runs/goto-lstm

Pictures are not stacked: the LSTM is the memory. The same command again resumes.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from sb3_contrib import RecurrentPPO

from agents.callbacks import LAST, Clock, Film, Keep, Progress
from agents.hyperparams import RECURRENT_PPO
from agents.lanes import add_arguments, codec_of, make_lanes, setup_of
from agents.saving import resume
from agents.train_ppo import add_training_arguments
from nfd_gym.command import guarded
from nfd_gym.eval.results import commit
from nfd_gym.runtime.threads import settle


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = make_parser().parse_args(arguments)
    settle()
    origin = commit()  # asked once: it runs git
    setup = setup_of(args)
    lanes = make_lanes(setup)
    net = {"lstm_hidden_size": args.memory, "enable_critic_lstm": False, "shared_lstm": True}
    model = RecurrentPPO(
        "CnnLstmPolicy",
        lanes,
        seed=args.seed,
        device=args.device,
        policy_kwargs=net,
        tensorboard_log=None if args.no_board else str(args.out / "tensorboard"),
        **RECURRENT_PPO
        | {
            "n_steps": args.n_steps,
            "batch_size": min(args.batch_size, args.n_steps * setup.lanes),
            "learning_rate": args.learning_rate,
        },
    )
    earlier = resume(model, args.out / LAST) if (args.out / LAST).exists() else {}
    clock = Clock(args.minutes, before_s=earlier.get("seconds", 0.0))

    def ticks() -> int:
        return int(model.num_timesteps * setup.repeat)

    def facts() -> dict[str, Any]:
        return {
            "algorithm": "recurrent_ppo",
            "codec": codec_of(lanes).to_json(),
            "size": list(setup.view),
            "stack": setup.stack,
            "repeat": setup.repeat,
            "policy_kwargs": net,
            "setup": setup.facts(),
            "seed": args.seed,
            "ticks": ticks(),
            "seconds": round(clock.seconds, 1),
            "command": "python -m agents.train_recurrent_ppo " + shlex.join(arguments),
            "commit": origin,
        }

    callbacks = [
        clock,
        Keep(args.out, args.keep_every, facts),
        Film(args.out, args.film_every, 20 / setup.repeat, ticks),
        Progress(args.steps, ticks),
    ]
    left = args.steps // setup.repeat - model.num_timesteps
    if left > 0:
        model.learn(left, callbacks, reset_num_timesteps=not earlier, tb_log_name="recurrent_ppo")
    lanes.close()
    print(f"{args.out / LAST}: {ticks()} ticks in {clock.seconds:.0f} s")
    return 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agents.train_recurrent_ppo", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_arguments(parser, stack=1, lanes=8)
    add_training_arguments(parser)
    add = parser.add_argument_group("recurrent PPO").add_argument
    add("--n-steps", type=int, default=RECURRENT_PPO["n_steps"], help="decisions per lane (64)")
    add("--batch-size", type=int, default=RECURRENT_PPO["batch_size"], help="(128)")
    add("--learning-rate", type=float, default=RECURRENT_PPO["learning_rate"])
    add("--memory", type=int, default=256, help="size of the LSTM (256)")
    return parser


if __name__ == "__main__":
    sys.exit(guarded("python -m agents.train_recurrent_ppo", main))
