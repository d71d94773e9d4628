"""Recipe: the settings of every stage of one world, as data."""

from dataclasses import dataclass

from nfd_gym.errors import NfdError
from nfd_gym.model.denoiser import DenoiserConfig
from nfd_gym.model.eye import EyeBodyConfig
from nfd_gym.model.tokenizer import TokenizerConfig
from nfd_gym.train.loop import LoopConfig
from nfd_gym.train.stages.denoiser import FlowLoss
from nfd_gym.train.views import ViewSettings
from nfd_gym.world import WorldSettings


class RecipeError(NfdError, ValueError):
    """A recipe or a stage that does not exist, or that lacks what an earlier stage writes."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    name: str
    world: str  # name of the world folder
    nodes: tuple[str, ...]  # what the recordings call the block kinds
    fov_y: float
    tokenizer: TokenizerConfig
    tokenizer_frames: int  # frames that the patch code is fitted on
    atlas_every: int  # every so many frames go into the atlas
    views: ViewSettings
    body: EyeBodyConfig
    body_steps: int
    denoiser: DenoiserConfig
    loss: FlowLoss
    loop: LoopConfig
    batch: int  # records a step and process
    settings: WorldSettings
    starts: int  # start clips
    keeps_paint: bool = True  # see PointMemory
