"""Hyper-parameters: what the training scripts start from, and what rl_zoo3 is given.

Sizes are Atari's (images, short episodes); only n_steps is shorter, because an episode of 200 ticks
is 50 decisions of 4 ticks.
"""

from typing import Any

PPO: dict[str, Any] = {
    "learning_rate": 2.5e-4,
    "n_steps": 64,  # decisions per lane and update
    "batch_size": 256,
    "n_epochs": 4,
    "gamma": 0.99,  # per decision
    "gae_lambda": 0.95,
    "clip_range": 0.1,
    "ent_coef": 0.01,
    "vf_coef": 0.5,
    "max_grad_norm": 0.5,
}

RECURRENT_PPO: dict[str, Any] = PPO | {"batch_size": 128}

DQN: dict[str, Any] = {
    "learning_rate": 1e-4,
    "buffer_size": 20_000,  # decisions; one is 48 KB of pictures, stored twice
    "learning_starts": 1_000,
    "batch_size": 32,
    "gamma": 0.99,
    "train_freq": 4,
    "gradient_steps": 1,
    "target_update_interval": 1_000,
    "exploration_fraction": 0.2,
    "exploration_final_eps": 0.05,
}
