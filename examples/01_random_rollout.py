"""One episode of random actions, as a film.

    python examples/01_random_rollout.py [WORLD]

WORLD is a folder or the name of a shipped world; without it, minecraft-island.
"""

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np

import nfd_gym  # noqa: F401  registers NFD-v0
from nfd_gym.eval.video import write_mp4

WORLD = sys.argv[1] if len(sys.argv) > 1 else "minecraft-island"

env = gym.make("NFD-v0", world=WORLD, task="explore", action_space="discrete", max_episode_steps=40)
env.action_space.seed(0)
frame, info = env.reset(seed=0)
frames, total, ended = [frame], 0.0, False
while not ended:
    frame, reward, terminated, truncated, info = env.step(env.action_space.sample())
    frames.append(frame)
    total += float(reward)
    ended = terminated or truncated
env.close()

film = np.stack(frames)
write_mp4(Path("rollout.mp4"), film, fps=20)
print(f"rollout.mp4: {len(film)} frames, {total:g} new cells, drift {info['drift']:.2f}")
changed = (film[1:] != film[:-1]).any(axis=(1, 2, 3))  # who does nothing sees nothing change
assert len(film) == 41 and changed.mean() > 0.3
