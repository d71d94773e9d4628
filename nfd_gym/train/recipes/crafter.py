"""Recipe of NFD-Crafter-v0: seen from above, left to chance, with a map of tiles."""

from nfd_gym.memory.tiles import TileSizes
from nfd_gym.model.denoiser import DenoiserConfig
from nfd_gym.model.steps import StepConfig
from nfd_gym.model.tokenizer import TokenizerConfig
from nfd_gym.train.flat_recipe import FlatRecipe
from nfd_gym.train.loop import LoopConfig
from nfd_gym.train.stages.distil import DistilLoss
from nfd_gym.train.stages.frames import PoseLog
from nfd_gym.train.stages.tokens import TokenLoss
from nfd_gym.world import WorldSettings

CHANNELS, ACTIONS = 16, 17
EVENTS = 5  # health, food, drink, energy and saplings change by chance or by hidden clocks
ACROSS, DOWN = 9, 7  # tiles in view; the player stands in the middle
AROUND = tuple(ACROSS * down + right for down in (2, 3, 4) for right in (3, 4, 5))
COUNTS = tuple(range(ACROSS * DOWN, ACROSS * DOWN + 16))

CRAFTER = FlatRecipe(
    name="crafter",
    world="crafter",
    tokenizer=TokenizerConfig(height=144, width=144, patch=16, channels=CHANNELS, hidden=256),
    tokenizer_frames=6000,
    denoiser=DenoiserConfig(
        tokens_h=9,
        tokens_w=9,
        channels=CHANNELS,
        control_width=ACTIONS + 4 + 1 + EVENTS,
        width=128,
        depth=6,
        heads=4,
        window=2,
        causal_every=3,
        masks=1,
        looks=AROUND + COUNTS,
    ),
    # around the player, its own tile, and the count of energy: a tired sleeper does not walk
    body=StepConfig(
        tile=16,
        looks=((4, 3), (3, 3), (5, 3), (4, 2), (4, 4), (3, 7)),
        steps=((1, -1, 0), (2, 1, 0), (3, 0, -1), (4, 0, 1)),
        actions=ACTIONS,
        day=300,
        patches=81,
        events=EVENTS,
        sees=AROUND + COUNTS,
        channels=CHANNELS,
        below=2 * ACROSS,
    ),
    events="counts",
    pose=PoseLog(names=("position", "clock"), scale=(1.0, 1.0, 1.0), shift=(0.0, 0.0, 0.0)),
    memory=TileSizes(),
    loss=TokenLoss(),
    distil=DistilLoss(teacher=(1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.5, 0.3), minutes=80.0),
    loop=LoopConfig(minutes=95.0, lr=3e-3, ema=0.998, compile=True),
    frames=3,
    batch=12,
    settings=WorldSettings(fps=10.0, temperature=1.0, hold=0.0),  # sigmas: the student's
    starts=40,
    begins=(("asleep", 0),),
    openings=100,
    opens=(("counts", (9, 9, 9, 9, *(0,) * 12)), ("clock", 0)),
)
