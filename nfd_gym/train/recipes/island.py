"""Recipe of NFD-Minecraft-v0: the island, with depth, a memory of points and an atlas."""

from nfd_gym.keyboard import KEY_INDEX, LOG_SCALE, PITCH, YAW
from nfd_gym.model.denoiser import DenoiserConfig
from nfd_gym.model.eye import EyeBodyConfig
from nfd_gym.model.tokenizer import TokenizerConfig
from nfd_gym.train.loop import LoopConfig
from nfd_gym.train.recipe import Recipe
from nfd_gym.train.stages.denoiser import FlowLoss
from nfd_gym.train.views import ViewSettings
from nfd_gym.world import WorldSettings

CHANNELS, DEPTH_CHANNELS = 224, 32
WALK = ("forward", "back", "left", "right", "jump", "sneak", "attack", "use")
KINDS = ("brick", "plank", "violet")
BODY = EyeBodyConfig(
    walk=tuple(KEY_INDEX[key] for key in WALK),
    hands=(KEY_INDEX["attack"], KEY_INDEX["use"]),
    choose=tuple(KEY_INDEX[f"hotbar.{slot + 1}"] for slot in range(len(KINDS))),
    camera=(PITCH, YAW),
    camera_scale=LOG_SCALE,
    kinds=KINDS,
    reach=4.5,
    hidden=256,
    mirror=((WALK.index("left"), WALK.index("right")),),
)
CONTROL = 25 + 3 + 2 + len(BODY.kinds) + 3

ISLAND = Recipe(
    name="island",
    world="minecraft-island",
    nodes=tuple(f"island:{kind}" for kind in KINDS),
    fov_y=72.0,
    tokenizer=TokenizerConfig(channels=CHANNELS, depth_channels=DEPTH_CHANNELS, whiten=0.5),
    tokenizer_frames=4000,
    atlas_every=12,
    views=ViewSettings(),
    body=BODY,
    body_steps=150000,
    denoiser=DenoiserConfig(
        channels=CHANNELS + DEPTH_CHANNELS,
        control_width=CONTROL,
        width=192,
        depth=6,
        heads=6,
        window=0,
        masks=3,
        rays=True,
    ),
    loss=FlowLoss(unseen=2.0),
    loop=LoopConfig(minutes=70.0, lr=1.5e-3, ema=0.998),
    batch=16,
    settings=WorldSettings(temperature=0.0, trust=0.0),
    keeps_paint=False,
    starts=40,
)
