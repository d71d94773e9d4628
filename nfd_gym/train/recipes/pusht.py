"""Recipe of NFD-PushT-v0: flat and without chance.

The body carries the poses of pusher and block, layers draw them there, the denoiser corrects that.
"""

from nfd_gym.memory.layers import NO_ANGLE, LayerConfig
from nfd_gym.model.denoiser import DenoiserConfig
from nfd_gym.model.push import PushConfig
from nfd_gym.model.tokenizer import TokenizerConfig
from nfd_gym.shapes import Scene
from nfd_gym.train.flat_recipe import FlatRecipe
from nfd_gym.train.loop import LoopConfig
from nfd_gym.train.stages.clips import ClipLoss
from nfd_gym.train.stages.frames import PoseLog
from nfd_gym.world import WorldSettings

CHANNELS = 192
SCENE = Scene(
    side=512.0,
    table=(255, 255, 255),
    mark=(144, 238, 144),
    thing=(143, 163, 184),
    player=(75, 120, 248),
    radius=15.0,
    boxes=((-60.0, 0.0, 60.0, 30.0), (-15.0, 0.0, 15.0, 120.0)),
    shift=0.5,
    grown=1.5,
    edge=10.7,
)  # a test holds it equal to what the game draws
PUSH = PushConfig(scene=SCENE, walls=(7.0, 504.0), mirror=True)

PUSHT = FlatRecipe(
    name="pusht",
    world="pusht",
    tokenizer=TokenizerConfig(height=96, width=96, patch=12, channels=CHANNELS, whiten=0.5),
    tokenizer_frames=6000,
    denoiser=DenoiserConfig(
        tokens_h=8,
        tokens_w=8,
        channels=CHANNELS,
        control_width=2 + 16,
        width=128,
        depth=6,
        heads=4,
        window=2,
        causal_every=2,
        pointers=4,
    ),
    body=PUSH,
    pose=PoseLog(
        names=("state",), scale=(*(2 / SCENE.side,) * 4, 1.0), shift=(-1.0, -1.0, -1.0, -1.0, 0.0)
    ),
    # block, then pusher; half of a texture's side holds the block's farthest corner
    memory=LayerConfig(
        height=96,
        width=96,
        places=((2, 3, 4), (0, 1, NO_ANGLE)),
        reach=(0.52, 0.09),
        texels=(160, 32),
    ),
    loss=ClipLoss(changed=4.0, rollouts=0.0),  # no frame is drawn from the one before
    loop=LoopConfig(minutes=9.0, lr=2e-3, ema=0.99),
    frames=3,
    batch=12,
    settings=WorldSettings(fps=10.0, temperature=0.0),
    starts=40,
)
