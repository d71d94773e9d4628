"""Run by test_team.py, alone or under torchrun: one update on four lanes, split over the ranks."""

import sys
from pathlib import Path

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv

from agents.team import TeamPPO
from nfd_gym.train.distributed import join, leave

LANES, STEPS = 4, 6
LIMITS = (0.05, 1000.0)  # of the gradient: one that bites, one that does not


class Still(gymnasium.Env):
    """Only its spaces are used."""

    observation_space = gymnasium.spaces.Box(0, 255, (36, 36, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(5)


def main(out: Path) -> None:
    """Side effect: rank 0 saves the weights after the update, for each limit of the gradient."""
    torch.set_num_threads(1)
    team = join()
    mine = np.array_split(np.arange(LANES), team.ranks)[team.rank]
    for limit in LIMITS:
        model = TeamPPO(
            "CnnPolicy",
            DummyVecEnv([Still for _ in mine]),
            team=team,
            seed=team.rank,  # other weights on every rank, until rank 0's are sent round
            n_steps=STEPS,
            batch_size=STEPS * len(mine),
            n_epochs=2,
            normalize_advantage=False,  # it is the one thing that is done per rank
            learning_rate=1e-3,
            max_grad_norm=limit,
        )
        model.set_logger(Logger(None, []))
        fill(model, mine)
        model.train()
        assert model.max_grad_norm == limit
        if team.leads:
            weights = {key: part.numpy() for key, part in model.policy.state_dict().items()}
            np.savez(out / f"{team.ranks}-{limit}.npz", **weights)
    leave(team)


def fill(model: TeamPPO, lanes: np.ndarray) -> None:
    """The same experience for a lane, whichever rank has it."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (STEPS, LANES, 3, 36, 36), np.uint8)
    actions = rng.integers(0, 5, (STEPS, LANES, 1))
    rewards = rng.normal(size=(STEPS, LANES)).astype(np.float32)
    values = torch.from_numpy(rng.normal(size=(STEPS, LANES)).astype(np.float32))
    buffer = model.rollout_buffer
    buffer.reset()
    starts = np.zeros(len(lanes))
    for t in range(STEPS):
        log_prob = torch.full((len(lanes),), -1.6)
        buffer.add(
            pictures[t, lanes],
            actions[t, lanes],
            rewards[t, lanes],
            starts,
            values[t, lanes],
            log_prob,
        )
    buffer.compute_returns_and_advantage(values[-1, lanes], starts)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
