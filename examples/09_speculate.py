"""Guess the next action and draw its frame ahead of time: faster, and never a different picture.

python examples/09_speculate.py [WORLD]
"""

import sys
import time

import gymnasium as gym
import numpy as np

import nfd_gym  # noqa: F401  registers NFD-v0
from nfd_gym.keyboard import COMBINATIONS

WORLD = sys.argv[1] if len(sys.argv) > 1 else "minecraft-island"
NAMES = list(COMBINATIONS)
# People hold keys: after a while "the same again" is a good guess.
LOG = ["forward"] * 8 + ["forward+turn_left"] * 4 + ["attack"] * 6

films, hits = {}, 0
for mode in ("off", "ahead"):
    env = gym.make("NFD-v0", world=WORLD, action_space="discrete", engine="eager", speculate=mode)
    frame, _ = env.reset(seed=0)
    frames = [frame]
    for name in LOG:
        frame, _, _, _, info = env.step(NAMES.index(name))
        frames.append(frame)
        time.sleep(0.01)  # the player thinks; the guess is drawn meanwhile
    films[mode] = np.stack(frames)
    hits = info.get("speculation", {}).get("hits", 0)
    env.close()

print(f"{hits} of {len(LOG)} frames were there before the action was")
assert hits > 0 and (films["off"] == films["ahead"]).all()
