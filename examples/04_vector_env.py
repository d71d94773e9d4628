"""Eight dreams in one batch: one call of the model draws all their next frames.

python examples/04_vector_env.py [WORLD]
"""

import sys
import time

import gymnasium as gym
import numpy as np

import nfd_gym  # noqa: F401  registers NFD-v0

WORLD = sys.argv[1] if len(sys.argv) > 1 else "minecraft-island"
LANES, TICKS = 8, 12

envs = gym.make_vec("NFD-v0", num_envs=LANES, world=WORLD, engine="eager", max_episode_steps=10)
envs.action_space.seed(0)
frames, infos = envs.reset(seed=100)
first = frames.copy()
actions = [envs.action_space.sample() for _ in range(TICKS)]
began = time.perf_counter()
for tick, action in enumerate(actions):
    frames, rewards, terminated, truncated, infos = envs.step(action)
    if tick == 9:  # the time limit: frames already belong to the next episodes
        assert truncated.all() and infos["final_obs"][0].shape == frames[0].shape
print(f"{LANES * TICKS / (time.perf_counter() - began):.0f} frames a second in {LANES} lanes")
envs.close()

# A lane is the single env with its seed, up to the rounding of batched products.
env = gym.make("NFD-v0", world=WORLD, engine="eager")
frame, _ = env.reset(seed=100 + 3)
assert np.abs(frame.astype(int) - first[3]).max() <= 2
assert frames.dtype == np.uint8 and (frames[0] != frames[1]).any()
env.close()
