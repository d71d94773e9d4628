"""An env in MineRL's dialect (old gym, dict actions, noisy stdout), for the bridge's tests only."""

import os
import subprocess
import sys
import time

import numpy as np


class FarEnv:
    """A picture whose first pixels say what it was told."""

    faulty = True

    def __init__(self, length=3, child=False):
        print("loading Malmo ...")  # must not get into the messages
        self.length, self.tick, self.seeded = length, 0, 0
        self.child = subprocess.Popen(["sleep", "300"]) if child else None

    def seed(self, seed):
        self.seeded = seed

    def reset(self):
        self.tick = 0
        return {"pov": self._picture(0, 0), "inventory": {"dirt": np.int64(3)}}

    def step(self, action):
        assert len(action) == 24 and action["camera"].dtype == np.float32, action
        if self.faulty:
            self._fail(action)
        self.tick += 1
        turn = round(float(action["camera"][1]) * 10)
        done = self.tick >= self.length
        child = None if self.child is None else self.child.pid
        info = {"TimeLimit.truncated": done, "odd": object(), "child": child}
        return {"pov": self._picture(action["forward"], turn)}, np.float64(1.5), done, info

    def _fail(self, action):
        if action["drop"]:
            raise KeyError("nothing to drop")
        if action["swapHands"]:
            time.sleep(60)
        if action["ESC"]:
            sys.stderr.write("java.lang.OutOfMemoryError\n")
            sys.stderr.flush()
            os._exit(3)

    def _picture(self, forward, turn):
        picture = np.zeros((24, 32, 3), np.uint8)
        picture[0, :4, 0] = forward, turn % 256, self.seeded % 256, self.tick % 256
        return picture

    def close(self):
        print("bye")


class ModernEnv(FarEnv):
    """The same in gymnasium's dialect."""

    faulty = False

    def reset(self, seed=None, options=None):
        self.seeded = seed or 0
        return super().reset(), {"options": options}

    def step(self, action):
        observation, reward, done, info = super().step(action)
        return observation, reward, False, done, info
