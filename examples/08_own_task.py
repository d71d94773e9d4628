"""Your own task: a class with four methods gives rewards in the dream and in the real game alike.

python examples/08_own_task.py [WORLD]
"""

import math
import sys
from typing import Any

import gymnasium as gym

import nfd_gym  # noqa: F401  registers NFD-v0
from nfd_gym.envs.tasks import Facts
from nfd_gym.keyboard import COMBINATIONS

WORLD = sys.argv[1] if len(sys.argv) > 1 else "minecraft-island"


class GoAway:
    """A metre away from where the episode began is worth 1; two metres end it."""

    name = "go away"
    needs_position = True  # in a learned world: where its body stands

    def reset(self, facts: Facts) -> None:
        self.start, self.before = (facts.position[0], facts.position[2]), 0.0

    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]:
        away = math.dist(self.start, (facts.position[0], facts.position[2]))
        gained, self.before = away - self.before, away
        return gained, away >= 2, {"away": away}

    # What `step` depends on, as JSON: undo, fork and save carry it along.
    def get_state(self) -> Any:
        return [*self.start, self.before]

    def set_state(self, state: Any) -> None:
        x, z, self.before = state
        self.start = (x, z)


env = gym.make("NFD-v0", world=WORLD, task=GoAway(), action_space="discrete")
forward, noop = list(COMBINATIONS).index("forward"), list(COMBINATIONS).index("noop")
returns = {}
for action in (noop, forward):
    env.reset(seed=0)
    returns[action], ended, ticks = 0.0, False, 0
    while not ended and ticks < 20:
        _, reward, ended, _, info = env.step(action)
        returns[action] += float(reward)
        ticks += 1
env.close()
print(f"standing {returns[noop]:.2f}, walking {returns[forward]:.2f} in {ticks} ticks")
assert abs(returns[noop]) < 0.5 and returns[forward] > returns[noop] + 0.5
