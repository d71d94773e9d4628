"""A world with a camera remembers places: turn away and back, look at its map and its points.

python examples/10_memory.py [WORLD]
"""

import sys

import gymnasium as gym
import numpy as np
from PIL import Image

import nfd_gym  # noqa: F401  registers NFD-v0

WORLD = sys.argv[1] if len(sys.argv) > 1 else "minecraft-island"

env = gym.make("NFD-v0", world=WORLD, action_space="minerl", engine="eager", depth=True)
first, info = env.reset(seed=0)
x, y, z, yaw, pitch = info["eye"]
print(f"the eye is at ({x:.1f}, {y:.1f}, {z:.1f}), heading {yaw:.0f}, looking down {pitch:.0f}")
assert info["depth"].shape == first.shape[:2] and info["depth"].dtype == np.uint16

turn = {"camera": np.array([0.0, 30.0], np.float32)}
for _ in range(6):
    away, *_, info = env.step(turn)
assert abs(info["eye"][3] - yaw - 180) < 0.1, "a turn is exactly the commanded angle"
back = {"camera": np.array([0.0, -30.0], np.float32)}
for _ in range(6):
    again, *_, info = env.step(back)
error = np.abs(again.astype(int) - first).mean()
print(f"after turning away and back: {error:.1f} grey levels from the first frame")
assert abs(info["eye"][3] - yaw) < 0.1
assert error < np.abs(away.astype(int) - first).mean()

seen = np.asarray(env.unwrapped.map()[0])  # from above, the eye in the middle
cloud = env.unwrapped.points()[0]  # position (N,3) in metres, facing, size, colour
Image.fromarray(seen).resize((512, 512), Image.Resampling.NEAREST).save("map.png")
print(f"map.png: what is known within 16 m; {len(cloud.size)} points in all")
assert seen.shape == (128, 128, 3) and seen.any() and len(cloud.size) > 100
env.close()
