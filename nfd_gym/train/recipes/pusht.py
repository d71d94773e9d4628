"""Recipe of NFD-PushT-v0: flat, deterministic, with the two last frames in view."""

from nfd_gym.model.denoiser import DenoiserConfig
from nfd_gym.model.spot import SpotConfig
from nfd_gym.model.tokenizer import TokenizerConfig
from nfd_gym.train.flat_recipe import FlatRecipe
from nfd_gym.train.loop import LoopConfig
from nfd_gym.train.stages.clips import ClipLoss
from nfd_gym.world import WorldSettings

CHANNELS = 192
AMONG = ((255, 255, 255), (144, 238, 144), (143, 163, 184))  # table, goal, block

PUSHT = FlatRecipe(
    name="pusht",
    world="pusht",
    tokenizer=TokenizerConfig(height=96, width=96, patch=12, channels=CHANNELS, whiten=0.5),
    tokenizer_frames=6000,
    denoiser=DenoiserConfig(
        tokens_h=8,
        tokens_w=8,
        channels=CHANNELS,
        control_width=2 + 4,
        width=128,
        depth=6,
        heads=4,
        window=2,
        causal_every=2,
        pointers=2,
    ),
    spot=SpotConfig(colour=(75, 120, 248), among=AMONG, gain=0.35),
    loss=ClipLoss(changed=4.0, rollouts=0.4, rollouts_from=0.6),
    loop=LoopConfig(minutes=120.0, lr=4e-3, ema=0.998),
    frames=3,
    batch=12,
    settings=WorldSettings(fps=10.0, temperature=0.0),
    starts=40,
)
