"""How a world is sampled when nobody says otherwise."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from nfd_gym.diffusion.sample import METHODS
from nfd_gym.errors import NfdError

CONTEXTS = ("auto", "noisy", "exact")


class WorldError(NfdError, ValueError):
    """A world folder that is missing, incomplete, corrupt or of a newer format."""


@dataclass(frozen=True, kw_only=True)
class WorldSettings:
    fps: float = 20.0
    sigmas: tuple[float, ...] = (1.0,)  # noise levels of the denoising steps
    trained: tuple[float, ...] = ()  # levels that a distilled model knows; (): every level
    method: str = "refine"  # of sampling; a flow is solved by "euler", "heun" or "dpm"
    context: str = "auto"  # keys and values kept: "noisy" the last step's, "exact" by an own pass
    temperature: float = 1.0  # scale of the noise that sampling starts from; 0: the mean picture
    latent_limit: float = 8.0  # generated latents are clamped to this many standard deviations
    trust: float = 255.0  # grey levels by which a frame may differ from what memory knows
    hold: float = 1.5  # grey levels: a token that changes less keeps the remembered pixels

    def __post_init__(self) -> None:
        for name in ("sigmas", "trained"):
            levels = getattr(self, name)
            falling = all(after < now for now, after in pairwise(levels))
            if levels and (levels[0] != 1.0 or not falling or levels[-1] <= 0):
                raise WorldError(f"{name} must fall from 1.0 and stay above 0, got {levels}.")
        if not self.sigmas:
            raise WorldError("sigmas must fall from 1.0 and stay above 0, got none.")
        for name in ("fps", "latent_limit"):
            if not 0 < getattr(self, name) < math.inf:
                raise WorldError(f"{name} must be positive, got {getattr(self, name)}.")
        for name in ("temperature", "hold", "trust"):
            if not 0 <= getattr(self, name) < math.inf:
                raise WorldError(f"{name} must not be negative, got {getattr(self, name)}.")
        for name, known in (("context", CONTEXTS), ("method", METHODS)):
            if getattr(self, name) not in known:
                raise WorldError(f"{name} must be one of {known}, got {getattr(self, name)!r}.")

    def with_steps(self, steps: int | None) -> "WorldSettings":
        """The same with another number of denoising steps, at noise levels that were trained."""
        if steps is None or steps == len(self.sigmas):
            return self
        most = len(self.trained)
        if steps < 1 or (most and steps > most):
            allowed = f"from 1 to {most}" if most else "at least 1"
            raise WorldError(
                f"steps must be {allowed}, got {steps}: the denoiser was trained at no other noise "
                "levels."
            )
        if most:
            sigmas = tuple(self.trained[round(i * most / steps)] for i in range(steps))
        else:
            sigmas = tuple(1.0 - i / steps for i in range(steps))
        return replace(self, sigmas=sigmas)
