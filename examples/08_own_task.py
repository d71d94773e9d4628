"""Your own task: a class with four methods gives rewards in the dream and in the real game alike.

python examples/08_own_task.py [WORLD]
"""

import sys
from typing import Any

import gymnasium as gym

import nfd_gym  # noqa: F401  registers NFD-v0
from nfd_gym.envs.tasks import Facts
from nfd_gym.keyboard import COMBINATIONS

WORLD = sys.argv[1] if len(sys.argv) > 1 else "minecraft-island"


class GoAhead:
    """A metre ahead of where the episode began is worth 1; three metres end it."""

    name = "go ahead"
    needs_position = True  # in a learned world: where its body stands

    def reset(self, facts: Facts) -> None:
        self.before = self.start = facts.position[2]

    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]:
        gained, self.before = facts.position[2] - self.before, facts.position[2]
        done = self.before - self.start >= 3
        return gained, done, {"ahead": self.before - self.start}

    # What `step` depends on, as JSON: undo, fork and save carry it along.
    def get_state(self) -> Any:
        return [self.before, self.start]

    def set_state(self, state: Any) -> None:
        self.before, self.start = state


env = gym.make("NFD-v0", world=WORLD, task=GoAhead(), action_space="discrete")
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
assert returns[noop] == 0 and returns[forward] >= 3 and ended
