"""Real and dream side by side: both get the same actions, one picture shows the two."""

import numpy as np

from nfd_gym.play.stage import Stage, View

LINE = 4  # pixels between the two


class Mirror(Stage):
    """The real game on the left, the dream of it on the right.

    The first frames are the real game's on both sides; once there are enough for the dream's
    memory it continues from them alone and sees nothing of the real game any more.
    """

    def __init__(self, real: Stage, dream: Stage) -> None:
        self.real, self.dream = real, dream
        # Two envs at once: no time travel, no log, no other number of steps.
        self.raw = self.remake = None
        self.undoable = 0
        self.keys = dream.keys
        self.codec, self.side, self.rate = real.codec, "real | dream", real.rate
        self.title = f"{real.title} | {dream.title}"
        self.seed, self.dreaming = 0, False
        self.view = real.view

    def reset(self, seed: int) -> View:
        self.seed = self.dream.seed = seed
        self.dreaming = False
        return self._both(self.real.reset(seed), None)

    def step(self, vector: np.ndarray) -> View:
        real = self.real.step(vector)
        if self.dreaming:
            return self._both(real, self.dream.step(vector))
        if len(self.real.past) == self.real.past.maxlen:
            self.dreaming = True
            return self._both(real, self.dream.begin(tuple(self.real.past)))
        return self._both(real, None)

    def close(self) -> None:
        self.real.close()
        self.dream.close()

    def _both(self, real: View, dream: View | None) -> View:
        right = real if dream is None else dream
        line = np.full((real.frame.shape[0], LINE, 3), 13, np.uint8)
        frame = np.concatenate([real.frame, line, right.frame], axis=1)
        self.view = View(frame, right.info, real.reward, real.ended or right.ended)
        return self.view
