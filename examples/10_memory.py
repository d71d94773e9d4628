"""A world with a camera remembers places: turn away and back, look at its map and its points.

python examples/10_memory.py [WORLD]
"""

import sys
from pathlib import Path

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

seen = env.unwrapped.map()[0]  # from above, the eye in the middle
Image.fromarray(seen).resize((480, 480), Image.Resampling.NEAREST).save("map.png")
cloud = env.unwrapped.points()[0]  # a file that viewers of point clouds open
Path("points.ply").write_bytes(cloud)
print(f"map.png: what is known within 24 m; points.ply: {len(cloud) / 1e6:.1f} MB")
assert seen.ndim == 3 and (seen != seen[0, 0]).any() and cloud.startswith(b"ply")
env.close()
