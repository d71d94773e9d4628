"""Recipe of a small world: every stage of the island's in seconds, for tests and examples."""

from dataclasses import replace

from nfd_gym.model.tokenizer import TokenizerConfig
from nfd_gym.train.loop import LoopConfig
from nfd_gym.train.recipes.island import ISLAND

CHANNELS, DEPTH_CHANNELS = 24, 8

MICRO = replace(
    ISLAND,
    name="micro",
    world="world",
    tokenizer=TokenizerConfig(
        height=32, width=48, patch=8, channels=CHANNELS, depth_channels=DEPTH_CHANNELS, whiten=0.5
    ),
    tokenizer_frames=64,
    atlas_every=1,
    views=replace(ISLAND.views, every=2.0, clip=0.0, hidden=0.25),
    body=replace(ISLAND.body, hidden=32),
    body_steps=200,
    denoiser=replace(
        ISLAND.denoiser,
        tokens_h=4,
        tokens_w=6,
        channels=CHANNELS + DEPTH_CHANNELS,
        width=32,
        depth=3,
        heads=2,
    ),
    loop=LoopConfig(steps=60, warmup=5, ema=0.9, log_every=5),
    batch=4,
    starts=5,
)
