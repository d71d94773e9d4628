"""A world is a value: take steps back, try several futures, save and load.

python examples/05_fork_and_undo.py [WORLD]
"""

import sys

import gymnasium as gym
import numpy as np

import nfd_gym  # noqa: F401  registers NFD-v0
from nfd_gym.keyboard import COMBINATIONS

WORLD = sys.argv[1] if len(sys.argv) > 1 else "minecraft-island"
NAMES = list(COMBINATIONS)

env = gym.make("NFD-v0", world=WORLD, action_space="discrete", engine="eager").unwrapped
env.reset(seed=0)
before, *_ = env.step(NAMES.index("forward"))

# Undo: the same action again gives the same frame, bit for bit, because noise has an address.
left, *_ = env.step(NAMES.index("turn_left"))
assert (env.undo() == before).all()
assert (env.step(NAMES.index("turn_left"))[0] == left).all()
env.undo()

# Fork: three futures of this moment in one batch; this env is untouched.
choices = [NAMES.index(name) for name in ("turn_left", "turn_right", "attack")]
futures = env.fork(len(choices))
frames, *_ = futures.step(np.array(choices))
difference = np.abs(frames[0].astype(int) - left).max()
print(f"the first future differs from the step that was undone by at most {difference} of 255")
assert difference <= 2 and (frames[0] != frames[1]).any()
futures.close()

# Save: bytes without pickle, that continue in another env of the same world.
state = env.save_state()
other = gym.make("NFD-v0", world=WORLD, action_space="discrete", engine="eager").unwrapped
assert (other.load_state(state) == before).all()
assert (other.step(choices[0])[0] == env.step(choices[0])[0]).all()
print(f"a state is {len(state) / 1024:.0f} KB")
env.close()
other.close()
