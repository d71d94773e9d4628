"""The one training loop. A stage says what its loss is; the loop does the rest: steps,
accumulation, averaging, logs, checkpoints, resuming. To resume, give the same command again.
"""

import json
import sys
import time
from collections.abc import Callable, Generator, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from nfd_gym.errors import UsageError
from nfd_gym.train import checkpoint, distributed
from nfd_gym.train.optim import EMA, gradient_norm, is_finite, make_optimisers, schedule, set_lr

Batch = TypeVar("Batch", bound=Sized)
Told = TypeVar("Told", bound=Sized, contravariant=True)
Given = TypeVar("Given", bound=Sized, covariant=True)
PATIENCE = 50  # steps without a finite gradient before a run gives up


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    minutes: float = 0.0  # budget of wall-clock time over all resumes; 0: count steps
    steps: int = 0  # budget of steps; one of the two must be set
    lr: float = 1e-3
    muon: bool = True
    warmup: int = 50
    cooldown: float = 0.3  # share of the budget over which the learning rate falls to nothing
    clip: float = 1.0
    ema: float = 0.995
    accumulate: int = 1
    bf16: bool = False  # autocast: 2-3 times faster on a GPU, slower on a CPU without bf16 units
    device: str = "cpu"  # another one takes one process
    compile: bool = False  # fuse the model's element-wise passes: a minute at the start, 1.3 times
    # as fast after it on a CPU; needs a C++ compiler
    fsdp: bool = False  # share out the weights over the ranks of a torchrun
    save_minutes: float = 3.0
    log_every: int = 20
    sample_minutes: float = 15.0  # how often a strip of decoded pictures goes to TensorBoard
    seed: int = 0


@dataclass(frozen=True)
class Moment:
    """Where the run is: everything a loss may depend on besides its batch."""

    step: int
    progress: float  # share of the budget that is spent, 0..1
    random: torch.Generator  # seeded from (seed, rank, step, micro): a resumed run draws the same
    ema: dict[str, Tensor]


class Loader(Protocol[Given]):
    """Batches without end."""

    def __iter__(self) -> Generator[Given]: ...


class Stage(Protocol[Told]):
    """What a training stage must say; stages/denoiser.py is an example."""

    name: str

    @property
    def model(self) -> nn.Module: ...

    def loss(self, batch: Told, moment: Moment) -> tuple[Tensor, dict[str, float]]: ...

    def picture(self, batch: Told) -> Tensor | None:
        """uint8 (H,W,3) to look at, made with the averaged weights; None if there is nothing."""


def train(
    stage: Stage[Batch],
    loader_at: Callable[[int, distributed.Team], Loader[Batch]],
    run: Path,
    config: LoopConfig,
    device: str,
) -> dict[str, float]:
    """Train until the budget is spent; returns the last averaged log line.

    Side effect: files in `run`.
    """
    if (config.minutes > 0) == (config.steps > 0):
        raise UsageError("give a budget: either --minutes M or --set loop.steps=N, not both")
    team = distributed.join()
    run.mkdir(parents=True, exist_ok=True)
    model = stage.model.to(device)
    if config.fsdp:
        distributed.shard(model, team)
    if config.compile:
        model.compile()  # in place: weights keep their names
    optimisers = make_optimisers(model, config.lr, config.muon)
    ema = EMA(model, config.ema)
    step, spent = _resume(run, model, optimisers, ema)
    board = _board(run) if team.leads else None
    log = (run / "log.jsonl").open("a") if team.leads else None
    loader = loader_at(step * config.accumulate, team)
    batches = iter(loader)
    window: list[dict[str, float]] = []
    last: dict[str, float] = {}
    batch: Batch | None = None
    started = saved = pictured = time.monotonic()
    frames = skipped = 0
    whole = True  # between two steps: only then may the state be saved
    finished = False
    try:
        while True:
            now = time.monotonic()
            progress = (
                step / config.steps
                if config.steps
                else (spent + now - started) / (60 * config.minutes)
            )
            if distributed.agree(progress >= 1.0, team):
                finished = True
                break
            set_lr(optimisers, schedule(progress, step, config.warmup, config.cooldown))
            logs: dict[str, float] = {}
            for micro in range(config.accumulate):
                batch = next(batches)
                frames += len(batch) * team.ranks
                index = (step * config.accumulate + micro) * team.ranks + team.rank
                random = _generator(config.seed, index, device)
                with torch.autocast(torch.device(device).type, torch.bfloat16, config.bf16):
                    value, more = stage.loss(batch, Moment(step, progress, random, ema.weights))
                (value / config.accumulate).backward()
                for key, number in {"loss": value.item(), **more}.items():
                    logs[key] = logs.get(key, 0.0) + number / config.accumulate
            distributed.average_gradients(model, team)
            logs["gradient"] = gradient_norm(model, config.clip)
            if is_finite(logs["gradient"]):
                whole, skipped = False, 0
                for optimiser in optimisers:
                    optimiser.step()
                ema.update(model, step)
            else:
                skipped += 1
                if skipped == PATIENCE:
                    raise UsageError(
                        f"{PATIENCE} steps in a row had no finite gradient; lower --set loop.lr or "
                        "look for broken recordings with `python -m nfd_gym check`"
                    )
            for optimiser in optimisers:
                optimiser.zero_grad(set_to_none=True)
            logs["loss"] = distributed.mean(logs["loss"], team)
            window.append(logs)
            step += 1
            whole = True
            now = time.monotonic()
            if team.leads and step % config.log_every == 0:
                last = _mean(window) | {"step": step, "minutes": (spent + now - started) / 60}
                last["frames_per_s"] = frames / (now - started)
                window = []
                _write(log, board, last)
                _tell(stage.name, progress, last)
            if distributed.agree(now - saved > 60 * config.save_minutes, team):
                saved = now
                _save(run, model, optimisers, ema, step, spent + now - started, team)
            if distributed.agree(
                board is not None and now - pictured > 60 * config.sample_minutes, team
            ):
                pictured = now
                _show(board, stage, model, ema, batch, step)
    finally:
        # gathering shares needs every rank, and after an error some may be gone
        if whole and (finished or not config.fsdp):
            _save(run, model, optimisers, ema, step, spent + time.monotonic() - started, team)
        if team.leads and window:
            last = _mean(window) | {"step": step}
        if log:
            log.close()
        if board:
            board.close()
        batches.close()
        distributed.leave(team)
    return last


def weights(run: Path, average: bool = True) -> dict[str, Tensor]:
    """The (averaged) weights of a run's checkpoint."""
    tensors, _ = checkpoint.load(_file(run))
    return checkpoint.select(tensors, "ema" if average else "model")


def _file(run: Path) -> Path:
    return run / "checkpoint.safetensors"


def _generator(seed: int, number: int, device: str) -> torch.Generator:
    """For batch `number` of all ranks: two ranks draw what one with accumulate=2 draws."""
    mixed = hash((seed, number)) & 0x7FFFFFFFFFFFFFFF  # ints hash alike in every process
    return torch.Generator(device).manual_seed(mixed)


def _save(
    run: Path,
    model: nn.Module,
    optimisers: list[torch.optim.Optimizer],
    ema: EMA,
    step: int,
    spent: float,
    team: distributed.Team,
) -> None:
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in ema.weights.items()}
    groups: list[Any] = []
    for index, optimiser in enumerate(optimisers):
        packed, settings = checkpoint.pack_optimiser(optimiser, f"optimiser{index}")
        tensors |= packed
        groups.append(settings)
    tensors = {key: distributed.gather(value) for key, value in tensors.items()}
    if team.leads:
        checkpoint.save(_file(run), tensors, {"step": step, "spent": spent, "groups": groups})


def _resume(
    run: Path, model: nn.Module, optimisers: list[torch.optim.Optimizer], ema: EMA
) -> tuple[int, float]:
    if not _file(run).exists():
        return 0, 0.0
    tensors, meta = checkpoint.load(_file(run))
    shares = model.state_dict()
    read = checkpoint.select(tensors, "model")
    model.load_state_dict({k: distributed.place(v, shares.get(k)) for k, v in read.items()})
    ema.load(checkpoint.select(tensors, "ema"))
    for index, optimiser in enumerate(optimisers):
        checkpoint.unpack_optimiser(optimiser, tensors, meta["groups"][index], f"optimiser{index}")
    return int(meta["step"]), float(meta["spent"])


def _mean(window: list[dict[str, float]]) -> dict[str, float]:
    keys = sorted({key for logs in window for key in logs})
    return {
        key: sum(v) / len(v) for key in keys if (v := [logs[key] for logs in window if key in logs])
    }


def _write(log: Any, board: Any, line: dict[str, float]) -> None:
    log.write(json.dumps({key: round(value, 6) for key, value in line.items()}) + "\n")
    log.flush()
    if board:
        for key, value in line.items():
            board.add_scalar(key, value, int(line["step"]))


def _board(run: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # TensorBoard is an extra; the numbers are in log.jsonl all the same
        print(
            "note: no TensorBoard (pip install tensorboard); logs go to log.jsonl only",
            file=sys.stderr,
        )
        return None
    return SummaryWriter(str(run / "tensorboard"))


@torch.no_grad()
def _show(
    board: Any, stage: Stage[Batch], model: nn.Module, ema: EMA, batch: Batch | None, step: int
) -> None:
    if batch is None:
        return
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    try:
        model.load_state_dict(ema.weights)
        picture = stage.picture(batch)
    finally:  # a Ctrl-C here must not leave averaged weights in the checkpoint
        model.load_state_dict(kept)
    if board and picture is not None:
        board.add_image("rollout", picture.cpu().numpy(), step, dataformats="HWC")


def _tell(name: str, progress: float, line: dict[str, float]) -> None:
    """One line that overwrites itself; silent when nobody watches."""
    if sys.stderr.isatty():
        left = line["minutes"] * (1 - progress) / max(progress, 1e-6)
        text = f"{name} {progress:6.1%} step {line['step']:.0f} loss {line['loss']:.4f}"
        print(
            f"\r{text} {line['frames_per_s']:.0f} frames/s, {left:.1f} min left ",
            end="",
            file=sys.stderr,
        )
