"""PushT as plain data: action codec, rate, size, the T's shape and the probes of evaluation."""

import math

from nfd_gym.actions import Continuous
from nfd_gym.games.spec import GameSpec

SIDE = 512.0  # of the table, in the game's own pixels
GOAL = (256.0, 256.0, math.pi / 4)  # block x, y, angle in radians
SUCCESS = 0.95  # of the goal covered: the episode ends
# Corners of the block's two rectangles in its own frame: the bar and the stem of the T.
RECTANGLES = (
    ((-60.0, 0.0), (60.0, 0.0), (60.0, 30.0), (-60.0, 30.0)),
    ((-15.0, 30.0), (15.0, 30.0), (15.0, 120.0), (-15.0, 120.0)),
)
MOVED = 0.5  # pixels of 512 from which on the block counts as pushed

SPEC = GameSpec(
    id="gym_pusht/PushT-v0",
    codec=Continuous(2, 0.0, SIDE, rest=(SIDE / 2, SIDE / 2)),
    fps=10.0,
    size=(96, 96),
    tasks=("pusht",),
    events=("push",),
    probes={
        "open_loop": {"steps": [16, 64], "state": ["block_x", "block_y", "block_angle"]},
        "untouched": {"steps": 200, "pixels": 1.0},
        "plan": {"ahead": 25, "budget": 50, "position": 20.0, "degrees": 20.0},
    },
)
