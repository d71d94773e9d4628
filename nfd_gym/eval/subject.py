"""What is being measured: a finished world, or a training run that is not one yet."""

from pathlib import Path

from nfd_gym.data.clip import Source
from nfd_gym.eval.rollout import Dream
from nfd_gym.runtime.session import Session
from nfd_gym.train.runs import load_denoiser, load_tokenizer
from nfd_gym.world import WorldModel, WorldSettings


def open_world(path: Path, data: Source) -> WorldModel:
    """The world in a folder; a denoiser run's folder counts, with its averaged weights, one step
    and the codec of the recordings it is judged on."""
    if (path / "world.json").exists() or not (path / "settings.json").exists():
        return WorldModel.load(path)
    denoiser, run = load_denoiser(path)
    return WorldModel(
        name=path.name,
        codec=data.codec,
        tokenizer=load_tokenizer(Path(run.tokenizer)),
        denoiser=denoiser.eval().requires_grad_(False),
        settings=WorldSettings(context="noisy" if run.loss.regime == "forced" else "exact"),
        provenance={"run": path.name},
    )


def open_dream(world: WorldModel, lanes: int, steps: int | None = None) -> Dream:
    """A Session on the reference engine: figures describe the model, not a fast engine's
    rounding."""
    return Session(world, lanes=lanes, engine="eager", steps=steps, speculate="off", device="cpu")
