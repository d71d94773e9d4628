"""Recipe of NFD+ at tiny size, on Crafter: `crafter-plain` and the paper's student of few steps."""

from dataclasses import replace

from nfd_gym.train.recipes.crafter_plain import CRAFTER_PLAIN
from nfd_gym.train.stages.plus import PlusLoss

CRAFTER_PLUS = replace(
    CRAFTER_PLAIN, name="crafter-plus", world="crafter-plus", distil=PlusLoss(), batch=4
)
