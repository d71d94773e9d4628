"""A world that can be read off its picture: a texture that scrolls under the player's view.

One degree of yaw is one column and one degree of pitch one row; walking moves two rows. Whatever
the viewer does with keys, mouse, time travel or the twin is visible as a shift of whole pixels.
"""

import time

import gymnasium
import numpy as np

from nfd_gym.actions import KeysAndMouse

HEIGHT, WIDTH, SIZE = 32, 48, 512


class ScrollEnv(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(self, render_mode="rgb_array", step_s=0.0, dies_at=None, blind=False):
        self.codec = KeysAndMouse("minerl")
        self.action_space = self.codec.space()
        self.observation_space = gymnasium.spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        self.render_mode = render_mode
        self.step_s = step_s
        self.dies_at = dies_at
        self.texture = _smooth(np.random.default_rng(7))
        self.state = np.zeros(3)  # column, row, steps
        self.past = []
        self.began = None
        if blind:  # a real game: no time travel
            self.save_state = self.load_state = self.undo = None

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = np.array([37.0 * (seed or 0), 11.0 * (seed or 0), 0.0])
        self.began = options
        self.past = []
        if options is not None:
            self.state[:] = _place(options["frames"][-1], self.texture)
        return self.render(), {"pitch": 0.0}

    def step(self, action):
        if self.dies_at is not None and self.state[2] >= self.dies_at:
            raise RuntimeError("the world broke")
        time.sleep(self.step_s)
        self.past.append(self.state.copy())
        pitch, yaw = action["camera"]
        walk = 2.0 * (int(action["forward"]) - int(action["back"]))
        self.state = self.state + np.array([round(float(yaw)), round(float(pitch)) - walk, 1])
        info = {"pitch": 0.0, "timings": {"denoise": 1e3 * self.step_s}}
        return self.render(), 0.0, False, False, info

    def render(self):
        column, row = (np.round(self.state[:2]) % SIZE).astype(int)
        view = np.roll(self.texture, (-row, -column), (0, 1))[:HEIGHT, :WIDTH]
        return np.ascontiguousarray(view)

    def save_state(self):
        return self.state.tobytes()

    def load_state(self, state):
        self.state = np.frombuffer(state).copy()

    def undo(self, ticks):
        if ticks > len(self.past):
            raise ValueError(f"only {len(self.past)} ticks can be undone")
        for _ in range(ticks):
            self.state = self.past.pop()


def _smooth(rng):
    """A texture (SIZE, SIZE, 3) that wraps around and is different everywhere."""
    waves = np.fft.rfft2(rng.normal(size=(3, SIZE, SIZE)))
    fy, fx = np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None]
    picture = np.fft.irfft2(waves * np.exp(-900 * (fy**2 + fx**2)))
    picture = 127 + 60 * picture / picture.std()
    return np.ascontiguousarray(np.clip(picture, 0, 255).astype(np.uint8).transpose(1, 2, 0))


def _place(frame, texture):
    """(column, row, 0) at which the texture looks like `frame`."""
    corner = frame[0, 0]
    for row, column in np.argwhere((texture == corner).all(axis=2)):
        if (np.roll(texture, (-row, -column), (0, 1))[:HEIGHT, :WIDTH] == frame).all():
            return column, row, 0
    raise ValueError("this frame is not of this world")


def shift_of(before, after, reach=12):
    """(columns, rows) by which the view moved right and down between two frames of ScrollEnv."""
    steps = sorted(range(-reach, reach + 1), key=abs)
    for columns, rows in sorted(
        ((x, y) for x in steps for y in steps), key=lambda xy: abs(xy[0]) + abs(xy[1])
    ):
        old = before[max(0, rows) :, max(0, columns) :]
        new = after[max(0, -rows) :, max(0, -columns) :]
        height, width = min(len(old), len(new)), min(old.shape[1], new.shape[1])
        if np.array_equal(old[:height, :width], new[:height, :width]):
            return columns, rows
    raise AssertionError("the frames do not overlap")


gymnasium.register("Scroll-v0", entry_point="scroll_world:ScrollEnv")
