"""Settings of a distillation."""

from dataclasses import dataclass

# Noise levels of few-step sampling (Causal-rCM); 2 steps and more reuse the frame's own noise.
LEVELS: dict[int, tuple[float, ...]] = {
    1: (1.0,),
    2: (1.0, 5 / 6),
    3: (1.0, 15 / 16, 5 / 6),
    4: (1.0, 15 / 16, 5 / 6, 5 / 8),
}
RECIPES = ("dcm", "scm", "trigflow", "full")


@dataclass(frozen=True, kw_only=True)
class DistillLoss:
    recipe: str = "dcm"
    steps: tuple[int, ...] = (1, 2)  # sampler lengths that are watched and rolled out
    regime: str = "forced"  # the teacher's
    context: str = "auto"  # "joint", "packed", or what suits recipe and teacher
    context_noise: float = 0.15  # packed, teacher trained packed: the context half's most noise
    grid: int = 16  # dcm: intervals between noise and picture
    shift: float = 3.0  # dcm: above 1 crowds the grid towards noise
    huber: float = 0.0  # dcm: scale of the pseudo-Huber loss; 0 is the squared error
    pure: float = 0.3  # share of frames at level 1, where every sampler begins
    one_step: float = 0.5  # joint: share of clips at level 1 as a whole, as in a 1-step run
    mean: float = 0.0  # scm, trigflow: levels from ln(sigma / (1 - sigma)) ~ N(mean, std)
    std: float = 1.6
    hold: int = 50  # scm, trigflow: steps of plain regression on the teacher first ...
    warmup: int = 150  # ... and steps over which the tangent grows to its full size
    channel_power: float = 1.0  # as in the teacher's loss: channels weigh by std^power
    robust: float = 0.0  # as the teacher's loss.huber: in what a free run teaches
    energy: float = 0.5  # as in the teacher's loss: keeps texture in what a free run teaches
    recycled_noise: float = 0.02  # as in the teacher's loss
    recorded: float = 0.4  # as in the teacher's loss
    own: float = 0.3  # share of batches that recycle the student's own free run
    rollout: float = 0.0  # share of batches that learn from a free run's own last steps (full: .3)
    rollout_frames: int = 6  # so many frames of a free run learn ...
    rollout_after: int = 0  # ... after up to this many that were made before them, unlearned
    keep: float = 0.0  # pull of what a free run imagined to stay, where nobody can know better
    tint: float = 0.0  # pull of the recording's colours where something turns into view; under keep
    calm: float = 0.0  # price of a motion field that differs from pixel to pixel
    stand: float = 0.0  # price of a hand that turns with the world, and of a world that does not
    fade: float = 0.96  # what a tick leaves of the recording's say; under keep
    feature_share: float = 0.0  # pull of the critic on teacher features against the main loss
    pixel_share: float = 0.0  # pull of the critic on decoded pictures (full: .5)
    texture_share: float = 0.0  # pull of the distance between heaps of patches
    critic_from: int = 50  # critics learn alone until this step
    critic_clips: int = 2  # clips of each batch that critics see
    watch: int = 100  # steps between two measurements of the failure signs

    def __post_init__(self) -> None:
        if self.recipe not in RECIPES:
            raise ValueError(f"recipe must be one of {', '.join(RECIPES)}, got {self.recipe!r}")
        if self.context not in ("auto", "joint", "packed"):
            raise ValueError(f"context must be 'auto', 'joint' or 'packed', got {self.context!r}")
        if not self.steps or any(steps not in LEVELS for steps in self.steps):
            raise ValueError(f"steps must be of {sorted(LEVELS)}, got {self.steps}")

    @property
    def continuous(self) -> bool:
        return self.recipe in ("scm", "trigflow")
