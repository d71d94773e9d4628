"""Recipe of a flat world: no camera, no depth, no memory; the coming view is the last frame."""

from dataclasses import dataclass

from nfd_gym.model.denoiser import DenoiserConfig
from nfd_gym.model.spot import SpotConfig
from nfd_gym.model.tokenizer import TokenizerConfig
from nfd_gym.train.loop import LoopConfig
from nfd_gym.train.stages.clips import ClipLoss
from nfd_gym.world import WorldError, WorldSettings


@dataclass(frozen=True, kw_only=True)
class FlatRecipe:
    name: str
    world: str  # name of the world folder
    tokenizer: TokenizerConfig
    tokenizer_frames: int  # frames that the patch code is fitted on
    spot: SpotConfig | None = None  # the player, where it is a spot in the picture
    denoiser: DenoiserConfig
    loss: ClipLoss
    loop: LoopConfig
    frames: int  # predicted frames of a training clip
    batch: int  # clips a step and process
    settings: WorldSettings
    starts: int  # start clips

    def __post_init__(self) -> None:
        if self.denoiser.masks or self.denoiser.rays or not self.denoiser.condition:
            raise WorldError(
                f"recipe {self.name!r}: a flat world's denoiser is conditioned on the last frame "
                "alone; set masks=0, rays=false and condition=true."
            )
