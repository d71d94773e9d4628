"""The island as plain data: actions, camera, rate, size and probes; its constants.

Axes are Minecraft's, in metres and degrees: forward is (-sin yaw, cos yaw) in (x, z), y is up, yaw
grows to the right, pitch downwards. Depth is planar: along the middle of the view.
"""

import math

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.games.spec import FirstPerson, GameSpec

FPS = 20
SIZE = (192, 112)  # width, height
FOV_Y = 72.0  # vertical field of view, degrees
NEAR = 0.1  # metres; nothing nearer is drawn
DEPTH_ONE = 16384  # inverse depth of 1 metre as stored in uint16; 0 is the sky
EYE_HEIGHT = 1.625  # over the feet, at rest; steps and jumps are smoothed
REACH = 4.5  # metres from the eye to the face of a block that attack and use still reach
LATTICE = 1.0  # blocks are cubes of a metre with their centres at whole numbers
CLICK_TICKS = 5  # attack and use act at most once in so many ticks while held
KINDS = ("island:brick", "island:plank", "island:violet")  # placed with hotbar.1, .2 and .3
RADIUS = 46.0  # metres from (0, 0) within which the island lies; sea all round
FENCE = 66.0  # metres from (0, 0) at which an invisible fence stands in the sea
SEA_TOP = 1.5  # y of the sea's surface

# Landmarks: name -> (x, z) of its middle.
LANDMARKS = {
    "hut": (-5.0, 9.0), "tower": (31.0, -6.0), "lighthouse": (-36.0, -15.0),
    "stones": (-14.0, -31.0), "jetty": (-5.0, -44.0), "pond": (10.0, -16.0), "cliff": (11.0, 16.0),
}  # fmt: skip

SPEC = GameSpec(
    id="Luanti-v0",
    codec=KeysAndMouse("minerl", Camera(FOV_Y)),
    fps=float(FPS),
    size=SIZE,
    camera=FirstPerson(FOV_Y, EYE_HEIGHT, REACH, LATTICE),
    tasks=(
        "explore",
        "travel",
        "dig",
        "chop",
        "goto-tower",
        "goto-lighthouse",
        "goto-hut",
        "tower",
    ),
    events=("dig", "place"),
    probes={
        "free": {"frames": [1, 16, 64, 256, 500]},
        "turn": {"degrees": [45, 90, 180, 360]},
        "walk": {"metres": [5, 15, 40]},
        "edit": {"places": ["dig", *KINDS]},
        "stand": {"ticks": 1200},
    },
)


def view_fov(width: int, height: int) -> float:
    """The game's vertical field of view in degrees: 72, more for pictures narrower than 16:10."""
    return FOV_Y * min(max(math.sqrt(1.6 / (width / height)), 1.0), 1.4)


def focal(height: int = SIZE[1], fov_y: float = FOV_Y) -> float:
    """Focal length in pixels; pixel centres lie at whole numbers plus a half."""
    return height / 2 / math.tan(math.radians(fov_y / 2))
