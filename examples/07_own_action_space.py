"""Your own actions: a wrapper with five of them, and a codec for a world of your own.

    python examples/07_own_action_space.py [WORLD]

Worlds see float vectors. A codec turns actions into vectors; a wrapper only chooses among them.
"""

import sys
from typing import Any

import gymnasium as gym
import numpy as np

import nfd_gym  # noqa: F401  registers NFD-v0
from nfd_gym.actions import Continuous, codec_from_json

WORLD = sys.argv[1] if len(sys.argv) > 1 else "minecraft-island"


class FiveActions(gym.ActionWrapper[Any, Any, Any]):
    """Walk, turn left or right by 6 degrees, dig, or dig while walking."""

    MOVES = (
        ({"forward": 1}, 0.0), ({}, -6.0), ({}, 6.0), ({"attack": 1}, 0.0),
        ({"forward": 1, "attack": 1}, 0.0),
    )  # fmt: skip

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.action_space = gym.spaces.Discrete(len(self.MOVES))

    def action(self, action: Any) -> dict[str, Any]:
        keys, yaw = self.MOVES[int(action)]
        return {**keys, "camera": np.array([0.0, yaw], np.float32)}


env = FiveActions(gym.make("NFD-v0", world=WORLD, action_space="minerl", engine="eager"))
seen = []
for action in range(5):
    env.reset(seed=0)  # the same moment each time
    seen.append(env.step(action)[0])
env.close()
changes = [[int((a != b).any()) for b in seen] for a in seen]
print(f"five actions, five frames: {changes}")
assert all(changes[i][j] for i in range(5) for j in range(5) if i != j)

# A robot arm: two joints in radians. Saved inside the world as JSON, it needs no other code.
arm = Continuous(2, low=[-3.1, 0.0], high=[3.1, 1.0])
vector = arm.encode(np.array([1.55, 0.25], np.float32))
assert np.allclose(vector, [0.5, -0.5]) and np.allclose(arm.decode(vector), [1.55, 0.25])
assert codec_from_json(arm.to_json()).space() == arm.space()
