"""Recipe of the rival of `crafter-plain`: the same footage, code, width, depth, window and minutes,
but words of a fixed vocabulary, predicted one after the other.
"""

from dataclasses import replace

from nfd_gym.baselines.autoregressive import AutoregressiveConfig
from nfd_gym.train.recipes.crafter_plain import CRAFTER_PLAIN
from nfd_gym.train.stages.next_word import NextWordLoss
from nfd_gym.world import WorldSettings

_PLAIN = CRAFTER_PLAIN.denoiser

CRAFTER_WORDS = replace(
    CRAFTER_PLAIN,
    name="crafter-words",
    world="crafter-words",
    denoiser=AutoregressiveConfig(
        tokens_h=_PLAIN.tokens_h, tokens_w=_PLAIN.tokens_w, channels=_PLAIN.channels,
        control_width=_PLAIN.control_width, width=_PLAIN.width, depth=_PLAIN.depth,
        heads=_PLAIN.heads, window=_PLAIN.window, causal_every=1,
    ),
    loss=NextWordLoss(),
    loop=replace(CRAFTER_PLAIN.loop, compile=False),
    settings=WorldSettings(fps=10.0, context="exact", hold=0.0),
)  # fmt: skip
