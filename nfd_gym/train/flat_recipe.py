"""Recipe of a flat world: no camera and no depth. The coming view is the last frame, what a map of
tiles holds, or layers at the coming pose."""

from dataclasses import dataclass
from typing import Any

from nfd_gym.baselines.autoregressive import AutoregressiveConfig
from nfd_gym.memory.layers import LayerConfig
from nfd_gym.memory.tiles import TileSizes
from nfd_gym.model.denoiser import DenoiserConfig
from nfd_gym.model.push import PushConfig
from nfd_gym.model.steps import StepConfig
from nfd_gym.model.tokenizer import TokenizerConfig
from nfd_gym.train.loop import LoopConfig
from nfd_gym.train.stages.clips import ClipLoss
from nfd_gym.train.stages.distil import DistilLoss
from nfd_gym.train.stages.frames import PoseLog
from nfd_gym.train.stages.next_word import NextWordLoss
from nfd_gym.train.stages.plus import PlusLoss
from nfd_gym.train.stages.tokens import TokenLoss
from nfd_gym.world import WorldError, WorldSettings

Logged = tuple[tuple[str, Any], ...]  # names of logs and their values


@dataclass(frozen=True, kw_only=True)
class FlatRecipe:
    name: str
    world: str  # name of the world folder
    tokenizer: TokenizerConfig
    tokenizer_frames: int  # frames that the patch code is fitted on
    body: PushConfig | StepConfig | None = None  # what moves; None: the picture alone says it
    pose: PoseLog | None = None  # where recordings keep the poses of a body
    events: str = ""  # the log whose first numbers' changes a StepConfig draws
    memory: TileSizes | LayerConfig | None = None  # None: the coming view is the last frame
    denoiser: DenoiserConfig
    # on frames; on tokens where there is chance; on words, of an AutoregressiveConfig
    loss: ClipLoss | TokenLoss | NextWordLoss
    # a student of few steps follows the denoiser; None: no
    distil: DistilLoss | PlusLoss | None = None
    loop: LoopConfig
    frames: int  # predicted frames of a training clip
    batch: int  # clips a step and process
    settings: WorldSettings
    starts: int  # start clips
    begins: Logged = ()  # what logs of their last row must say: nobody sleeps
    openings: int = 0  # further start clips: first frames of recordings
    opens: Logged = ()  # what logs of these say: such recordings begin as the game does

    def __post_init__(self) -> None:
        tokens, words = isinstance(self.loss, TokenLoss), isinstance(self.loss, NextWordLoss)
        if words != isinstance(self.denoiser, AutoregressiveConfig):
            raise WorldError(
                f"recipe {self.name!r}: words are predicted by an autoregressive net; set `loss` "
                "to a NextWordLoss and `denoiser` to an AutoregressiveConfig, or neither."
            )
        if self.denoiser.rays or not (self.denoiser.condition or tokens):
            raise WorldError(
                f"recipe {self.name!r}: a flat world's denoiser is conditioned on a view without "
                "rays; set rays=false and condition=true (only a loss on tokens needs no view)."
            )
        if isinstance(self.memory, TileSizes) and not tokens:
            raise WorldError(
                f"recipe {self.name!r}: a map of tiles is trained on tokens; set `loss` to a "
                "TokenLoss."
            )
        if self.distil is not None and not tokens:
            raise WorldError(
                f"recipe {self.name!r}: a student is distilled on tokens; set distil=null."
            )
        drawn = self.body.events if isinstance(self.body, StepConfig) else 0
        if bool(drawn) != bool(self.events) or (drawn and not isinstance(self.memory, TileSizes)):
            raise WorldError(
                f"recipe {self.name!r}: events are changes of a log, drawn in a world with a map; "
                "set `events`, `body.events` and a map of tiles, or neither of the first two."
            )
        if (self.body is None) != (self.pose is None):
            raise WorldError(
                f"recipe {self.name!r}: a body is fitted to recorded poses; set both `body` and "
                "`pose`, or neither."
            )
