"""A run: one folder with the settings, the checkpoint and the logs of one training."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nfd_gym import settings
from nfd_gym.model.denoiser import Denoiser, DenoiserConfig
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig
from nfd_gym.presets import PRESETS
from nfd_gym.train import checkpoint
from nfd_gym.train.denoiser_step import DenoiserLoss
from nfd_gym.train.distill_settings import DistillLoss
from nfd_gym.train.loop import LoopConfig, weights
from nfd_gym.train.tokenizer_step import TokenizerLoss
from nfd_gym.world import WorldModel

BUDGET = {
    "minutes",
    "steps",
    "save_minutes",
    "log_every",
    "sample_minutes",
    "fsdp",
}  # may change on a resume


@dataclass(frozen=True, kw_only=True)
class TokenizerRun:
    model: TokenizerConfig = TokenizerConfig()
    loss: TokenizerLoss = TokenizerLoss()
    loop: LoopConfig = LoopConfig(lr=1.5e-3, muon=False, ema=0.99)
    batch: int = 4  # clips a step
    window: int = 4  # frames a clip
    pca_frames: int = 512  # frames whose patches the code starts from


@dataclass(frozen=True, kw_only=True)
class DenoiserRun:
    model: DenoiserConfig = DenoiserConfig()
    loss: DenoiserLoss = DenoiserLoss()
    loop: LoopConfig = LoopConfig()
    batch: int = 4
    window: int = 10  # frames that learn, each with the frame before it
    tokenizer: str = ""  # its run
    start: str = ""  # a run of the same sizes whose averaged weights to start from


@dataclass(frozen=True, kw_only=True)
class DistillRun:
    model: DenoiserConfig = DenoiserConfig()  # the teacher's, but for its form
    loss: DistillLoss = DistillLoss()
    loop: LoopConfig = LoopConfig(lr=2e-4, muon=False, warmup=20, ema=0.95, save_minutes=2.0)
    batch: int = 4
    window: int = 10
    tokenizer: str = ""
    teacher: str = ""  # its run
    start: str = ""  # a distilled run of the same form to start from
    critics: str = ""  # a distilled run whose critics to start with


def distill_presets() -> dict[str, DistillRun]:
    """What the end of the path says reaches level 1 after about grid / (1 - ema) steps: a run of
    minutes needs a coarse grid and a young average."""
    usual = DistillRun()
    return {
        "tiny": usual,
        "short": replace(
            usual, loss=replace(usual.loss, grid=8), loop=replace(usual.loop, ema=0.9)
        ),
    }


def tokenizer_presets() -> dict[str, TokenizerRun]:
    order = ["tiny", *(name for name in PRESETS if name != "tiny")]
    return {name: TokenizerRun(model=PRESETS[name].tokenizer) for name in order}


def denoiser_presets() -> dict[str, DenoiserRun]:
    order = ["tiny", *(name for name in PRESETS if name != "tiny")]
    return {name: DenoiserRun(model=PRESETS[name].denoiser) for name in order}


def describe(run: Path, resolved: Any) -> None:
    """Write the settings of a run beside its checkpoint; refuse to resume it under other ones."""
    path = run / "settings.json"
    fresh = settings.to_json(resolved)
    if path.exists():
        old = settings.to_json(settings.from_json(type(resolved), _described(run)))
        changed = sorted(key for key in fresh if _comparable(fresh, key) != _comparable(old, key))
        if changed:
            raise ValueError(
                f"{run} was started with other settings ({', '.join(changed)}); give another --out"
            )
    run.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # every rank writes the same
    temporary.write_text(json.dumps(fresh, indent=1) + "\n", "utf-8")
    os.replace(temporary, path)


def load_tokenizer(run: Path) -> Tokenizer:
    """The tokenizer that a run trained (averaged weights), or a world's, frozen."""
    if is_world(run):
        return WorldModel.load(run).tokenizer
    config = settings.from_json(TokenizerRun, _described(run)).model
    model = Tokenizer(config)
    model.load_state_dict(weights(run))
    return model.eval().requires_grad_(False)


def load_denoiser(run: Path) -> tuple[Denoiser, DenoiserRun | DistillRun]:
    """The denoiser that a run trained or distilled (averaged weights) and the run's settings."""
    described = _described(run)
    config: DenoiserRun | DistillRun
    if "teacher" in described:  # a distilled run stores its critics beside the student
        config = settings.from_json(DistillRun, described)
        state = checkpoint.select(weights(run), "student")
    else:
        config = settings.from_json(DenoiserRun, described)
        state = weights(run)
    model = Denoiser(config.model)
    model.load_state_dict(state)
    return model, config


def start_weights(path: Path) -> dict[str, Tensor]:
    """Denoiser weights to begin with: a run's averaged ones, or a shipped world's."""
    model = WorldModel.load(path).denoiser if is_world(path) else load_denoiser(path)[0]
    return model.state_dict()


def begin_with(model: Denoiser, state: dict[str, Tensor]) -> None:
    """Load weights to start from. Those of a model with fewer inputs or outputs fit too: what is
    new begins at zero, so the larger model begins as the smaller one."""
    own = model.state_dict()
    for key, mine in own.items():
        if key == "places" or key.startswith("motion."):
            state = {key: mine, **state}
        if key == "tokens_in.weight" or key.startswith("motion.out."):
            grown = torch.zeros_like(mine)
            known = tuple(
                slice(min(a, b)) for a, b in zip(mine.shape, state[key].shape, strict=True)
            )
            grown[known] = state[key][known]
            state = {**state, key: grown}
    model.load_state_dict(state)


def begin_critics(duel: nn.Module, state: dict[str, Tensor]) -> None:
    """Load the critics of another distilled run; those that this one has must all be there."""
    own = duel.state_dict()
    wanted = {key for key in own if not key.startswith("student.")}
    if missing := wanted - state.keys():
        raise ValueError(
            f"that run has no {min(missing).partition('.')[0]} to begin with; leave --critics out"
        )
    duel.load_state_dict({**own, **{key: state[key] for key in wanted}})


def is_world(path: Path) -> bool:
    return (path / "world.json").is_file()


def story(run: Path) -> dict[str, Any]:
    """What a world tells about the run that it came from; folders by name only."""
    if is_world(run):
        return dict(WorldModel.load(run).provenance)
    _, meta = checkpoint.load(run / "checkpoint.safetensors")
    told = {k: Path(v).name if isinstance(v, str) else v for k, v in _described(run).items()}
    return {"settings": told, "steps": meta["step"], "minutes": round(meta["spent"] / 60, 1)}


def _described(run: Path) -> dict[str, Any]:
    path = run / "settings.json"
    if not path.is_file():
        raise ValueError(f"{run} is no run of `python -m nfd_gym train` (it has no settings.json)")
    described: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return described


def _comparable(described: dict[str, Any], key: str) -> Any:
    value = described.get(key)
    return (
        {k: v for k, v in value.items() if k not in BUDGET}
        if key == "loop" and isinstance(value, dict)
        else value
    )
