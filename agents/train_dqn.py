"""Train an agent with DQN: off-policy, discrete actions, every tick of the world used many times.

    python -m agents.train_dqn --task goto-tower --lanes 4 --steps 400000 --out runs/goto-dqn

The same command again resumes with the weights; the replay buffer is not kept and fills up anew.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from gymnasium import spaces
from stable_baselines3 import DQN

from agents.callbacks import LAST, Clock, Film, Keep, Progress
from agents.hyperparams import DQN as USUAL
from agents.lanes import add_arguments, codec_of, make_lanes, setup_of
from agents.saving import resume
from agents.train_ppo import add_training_arguments
from nfd_gym.command import guarded
from nfd_gym.errors import UsageError
from nfd_gym.eval.results import commit
from nfd_gym.runtime.threads import settle


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = make_parser().parse_args(arguments)
    settle()
    origin = commit()  # asked once: it runs git
    setup = setup_of(args)
    lanes = make_lanes(setup)
    if not isinstance(lanes.action_space, spaces.Discrete):
        lanes.close()
        raise UsageError(
            f"DQN needs one discrete choice, and --action-space {setup.action_space} is "
            f"{lanes.action_space}; use --action-space discrete."
        )
    model = DQN(
        "CnnPolicy",
        lanes,
        seed=args.seed,
        device=args.device,
        tensorboard_log=None if args.no_board else str(args.out / "tensorboard"),
        **USUAL
        | {
            "buffer_size": args.buffer,
            "learning_starts": args.learning_starts,
            "learning_rate": args.learning_rate,
        },
    )
    earlier = resume(model, args.out / LAST) if (args.out / LAST).exists() else {}
    clock = Clock(args.minutes, before_s=earlier.get("seconds", 0.0))

    def ticks() -> int:
        return int(model.num_timesteps * setup.repeat)

    def facts() -> dict[str, Any]:
        return {
            "algorithm": "dqn",
            "codec": codec_of(lanes).to_json(),
            "size": list(setup.view),
            "stack": setup.stack,
            "repeat": setup.repeat,
            "policy_kwargs": {},
            "setup": setup.facts(),
            "seed": args.seed,
            "ticks": ticks(),
            "seconds": round(clock.seconds, 1),
            "command": "python -m agents.train_dqn " + shlex.join(arguments),
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
        model.learn(left, callbacks, reset_num_timesteps=not earlier, tb_log_name="dqn")
    lanes.close()
    print(f"{args.out / LAST}: {ticks()} ticks in {clock.seconds:.0f} s")
    return 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agents.train_dqn", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_arguments(parser, lanes=4)
    add_training_arguments(parser)
    add = parser.add_argument_group("DQN").add_argument
    add("--buffer", type=int, default=USUAL["buffer_size"], help="decisions remembered (20000)")
    add("--learning-starts", type=int, default=USUAL["learning_starts"],
        help="decisions before the first update (1000)")  # fmt: skip
    add("--learning-rate", type=float, default=USUAL["learning_rate"])
    return parser


if __name__ == "__main__":
    sys.exit(guarded("python -m agents.train_dqn", main))
