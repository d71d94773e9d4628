"""Recipe of Next-Frame Diffusion as its paper has it, at tiny size, on Crafter: no memory, no body
and no recycled frame. What was is seen by attention to the frames of the window alone.
"""

from dataclasses import replace

from nfd_gym.train.recipes.crafter import ACTIONS, CRAFTER
from nfd_gym.train.stages.tokens import TokenLoss
from nfd_gym.world import WorldSettings

STEPS = 18  # of the teacher, as in the paper

CRAFTER_PLAIN = replace(
    CRAFTER,
    name="crafter-plain",
    world="crafter-plain",
    denoiser=replace(
        CRAFTER.denoiser,
        looks=(),
        control_width=ACTIONS,
        window=4,
        causal_every=1,
        condition=False,
        masks=0,
    ),
    body=None,
    pose=None,
    events="",
    memory=None,
    distil=None,
    loss=TokenLoss(clean=0.5, own=0.0),
    loop=replace(CRAFTER.loop, minutes=40.0),
    frames=6,
    batch=6,
    settings=WorldSettings(
        fps=10.0,
        sigmas=tuple(1.0 - i / STEPS for i in range(STEPS)),
        method="euler",
        context="exact",
        temperature=1.0,
        hold=0.0,
    ),
)
