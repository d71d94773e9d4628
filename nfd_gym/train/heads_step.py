"""`python -m nfd_gym train heads`: what happened in a frame, learned from logged events.

Events are rare (a dig in 1 % of the frames, a chop in 0.05 %), so frames are chosen and kept: all
around events, most where the same keys are held but nothing happens, and a few of all others. And
they come in disguise, mirrored and in other colours: a hole looks like a hole in sand and in moss,
of which recordings have too little to learn it from. The belief at which an event counts is then
set on whole held-out recordings, where frames come as often as they do in play, and precision,
recall and F1 are reported on --val.
"""

import argparse
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nfd_gym import settings
from nfd_gym.data import Source, open_source
from nfd_gym.data.clip import event_flags
from nfd_gym.model.heads import HeadsConfig, RewardHeads, glimpse
from nfd_gym.model.pixels import to_float
from nfd_gym.train.heads_data import Choice, Examples, Flags, gather, looks, tell
from nfd_gym.train.heads_score import best_offsets, score
from nfd_gym.world import WorldModel


@dataclass(frozen=True, kw_only=True)
class HeadsRun:
    size: int = 64  # pixels of the square around the crosshair that they see
    frames: int = 4  # last frames that they see
    hidden: int = 32
    delay: int = 1  # frames from the log to the picture
    choice: Choice = field(default_factory=Choice)
    held_out: int = 12  # every n-th clip sets the beliefs instead of training
    clips: int = 0  # use only so many recordings; 0 is all
    steps: int = 500
    batch: int = 128
    lr: float = 2e-3
    noise: float = 0.05  # the dream's pictures are less clean than real ones
    tolerance: int = 2  # frames between a found event and the true one that still match
    seed: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--world", type=Path, required=True, help="world folder; heads are added")
    parser.add_argument("--data", type=Path, required=True, help="recordings with logged events")
    parser.add_argument("--val", type=Path, help="recordings to report precision and recall on")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    settings.add_arguments(parser, {"tiny": HeadsRun()})


def main(args: argparse.Namespace) -> int:
    run = settings.resolve(args, {"tiny": HeadsRun()})
    if args.dry_run:
        print(settings.show(run))
        return 0
    world = WorldModel.load(args.world, args.device)
    random = np.random.default_rng(run.seed)
    source = open_source(args.data)
    count = min(run.clips, len(source.names)) if run.clips else len(source.names)
    config = HeadsConfig(
        size=min(run.size, *world.size), frames=run.frames, action_width=world.codec.width,
        hidden=run.hidden, delay=run.delay,
    )  # fmt: skip
    held = [index for index in range(count) if index % run.held_out == run.held_out - 1]
    training = [index for index in range(count) if index not in held]
    examples = gather(source, training, config, run.choice, random, args.device)
    heads = fit(config, examples, run, args.device)
    beliefs, truth = judge(heads, source, held, args.device)
    heads.offsets.copy_(best_offsets(config, beliefs, truth, run.tolerance).to(args.device))
    report = {"held_out": score(config, heads.offsets.cpu(), beliefs, truth, run.tolerance)}
    if args.val:
        val = open_source(args.val)
        found, true = judge(heads, val, list(range(len(val.names))), args.device)
        report["val"] = score(config, heads.offsets.cpu(), found, true, run.tolerance)
    print(json.dumps(report, indent=1))
    provenance = {**world.provenance, "heads": {"settings": settings.to_json(run), **report}}
    replace(world, heads=heads.cpu(), provenance=provenance).save(args.world)
    return 0


def fit(config: HeadsConfig, examples: Examples, run: HeadsRun, device: str) -> RewardHeads:
    """Heads trained by cross entropy; a third of each batch comes from frames with a positive."""
    torch.manual_seed(run.seed)  # initial weights; everything after draws from the generator
    heads = RewardHeads(config).to(device)
    random = torch.Generator(device).manual_seed(run.seed)
    optimiser = torch.optim.AdamW(heads.parameters(), lr=run.lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, run.lr, run.steps, pct_start=0.1)
    some = ((examples.target * examples.weight).sum(1) > 0).nonzero()[:, 0]
    if not len(some):
        raise ValueError("no event of any kind in the training recordings; heads learn from events")
    for step in range(1, run.steps + 1):
        drawn = torch.rand(run.batch, generator=random, device=device)
        everywhere = (drawn * len(examples.target)).long()
        third = run.batch // 3
        everywhere[:third] = some[(drawn[:third] * len(some)).long()]
        seen = to_float(examples.glimpses[examples.index[everywhere]])
        moving, coloured = disguised(seen, run.noise, random)
        logits = heads.factors(moving, coloured, examples.actions[everywhere])
        target, weight = examples.target[everywhere], examples.weight[everywhere]
        loss = F.binary_cross_entropy_with_logits(logits, target, weight)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            tell(f"heads step {step} of {run.steps}, loss {loss.item():.4f}")
    return heads.eval().requires_grad_(False)


def disguised(seen: Tensor, noise: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures (B,K,3,S,S) in [-1, 1] as they could have been: mirrored, in other colours, aimed
    elsewhere by some pixels. Once with their channels mixed up as well, and once not: a tree has
    the colour of a tree."""
    lanes = len(seen)

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=random, device=seen.device)

    seen = torch.where(draw(lanes, 1, 1, 1, 1) < 0.5, seen.flip(-1), seen)
    aside = (draw(2) * 13 - 6).floor().int().tolist()
    seen = seen.roll(aside, (-2, -1))
    level = noise * draw(lanes, 1, 1, 1, 1)
    seen = seen + level * torch.randn(seen.shape, generator=random, device=seen.device)
    light = seen * (0.8 + 0.4 * draw(lanes, 1, 1, 1, 1)) + 0.2 * (draw(lanes, 1, 1, 1, 1) - 0.5)
    light = light * (0.9 + 0.2 * draw(lanes, 1, 3, 1, 1))
    mixed = draw(lanes, 3).argsort(1)[:, None, :, None, None].expand_as(seen)
    paint = 0.6 + 0.8 * draw(lanes, 1, 3, 1, 1), 0.4 * (draw(lanes, 1, 3, 1, 1) - 0.5)
    return seen.gather(2, mixed) * paint[0] + paint[1], light


@torch.no_grad()
def judge(
    heads: RewardHeads, source: Source, clips: list[int], device: str
) -> tuple[list[Tensor], list[Flags]]:
    """Raw logits (T, events) on every frame of whole clips, and the logged events."""
    logits, truth = [], []
    for done, index in enumerate(clips, 1):
        clip = source.read(index)
        glimpses = glimpse(torch.from_numpy(clip.frames), heads.config.size)
        actions = torch.from_numpy(clip.actions)
        raw = []
        for frames in torch.arange(1, len(clip)).split(256):
            seen = to_float(glimpses[looks(frames.numpy(), heads.config)].to(device))
            raw.append(heads.factors(seen, seen, actions[frames].to(device)))
        never = torch.full((1, len(heads.config.events)), -20.0)
        logits.append(torch.cat([never, *(part.cpu() for part in raw)]))
        truth.append(event_flags(clip.events, len(clip)))
        tell(f"judged {done} of {len(clips)} recordings")
    return logits, truth
