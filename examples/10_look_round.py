"""What does a world remember of what left the view? Turn round once and see.

    python examples/10_look_round.py [WORLD]

The sphere around the player is drawn as a map: straight ahead in the middle, behind at both ends.
"""

import sys

import gymnasium as gym
import numpy as np
from PIL import Image

import nfd_gym  # noqa: F401  (registers the ids)

WORLD = sys.argv[1] if len(sys.argv) > 1 else "minecraft-tiny"

env = gym.make("nfd_gym:NFD-v0", world=WORLD, action_space="discrete")
first, _ = env.reset(seed=11)
before = env.unwrapped.panorama()

codec = env.unwrapped.codec
turn_right = next(i for i in range(24) if codec.rotation(codec.encode(i))[1] > 5)
ticks = round(360 / codec.rotation(codec.encode(turn_right))[1])
frames = [env.step(turn_right)[0] for _ in range(ticks)]

after = env.unwrapped.panorama()
assert after.shape == (240, 480, 3) and (after != before).any()
Image.fromarray(after).save("panorama.png")

# Round once, and the same place is on show: more like the first frame than what was seen half way.
for name, frame in (("half way", frames[ticks // 2]), ("all round", frames[-1])):
    print(f"{name}: {np.abs(frame.astype(int) - first).mean():.1f} grey levels from the start")
env.close()
