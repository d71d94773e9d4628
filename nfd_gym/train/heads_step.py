"""`python -m nfd_gym train heads`: what happened in a frame, learned from logged events.

Events are rare (a dig in 1 % of the frames, a chop in 0.05 %), so frames are chosen, encoded once
and kept: all frames around events, some where the same keys are held but nothing happens, and a
few of all others. The belief at which an event counts is then set on whole held-out recordings,
where frames come as often as they do in play, and precision, recall and F1 are reported on --val.
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
from nfd_gym.model.heads import HeadsConfig, RewardHeads
from nfd_gym.train.heads_data import Choice, Examples, Flags, gather, pairs, tell
from nfd_gym.train.heads_score import best_offsets, score
from nfd_gym.world import WorldModel


@dataclass(frozen=True, kw_only=True)
class HeadsRun:
    hidden: int = 64
    delay: int = 1  # frames from the log to the picture
    choice: Choice = field(default_factory=Choice)
    held_out: int = 12  # every n-th clip sets the beliefs instead of training
    clips: int = 0  # use only so many recordings; 0 is all
    steps: int = 600
    batch: int = 128
    lr: float = 2e-3
    latent_noise: float = 0.3  # the dream's latents are less clean than real ones
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
        tokens=world.tokenizer.config.tokens, channels=world.tokenizer.config.channels,
        action_width=world.codec.width, hidden=run.hidden, delay=run.delay,
    )  # fmt: skip
    held = [index for index in range(count) if index % run.held_out == run.held_out - 1]
    training = [index for index in range(count) if index not in held]
    examples = gather(world, source, training, config, run.choice, random, args.device)
    heads = fit(config, examples, run, args.device)
    beliefs, truth = judge(world, heads, source, held, args.device)
    heads.offsets.copy_(best_offsets(config, beliefs, truth, run.tolerance).to(args.device))
    report = {"held_out": score(config, heads.offsets.cpu(), beliefs, truth, run.tolerance)}
    if args.val:
        val = open_source(args.val)
        found, true = judge(world, heads, val, list(range(len(val.names))), args.device)
        report["val"] = score(config, heads.offsets.cpu(), found, true, run.tolerance)
    print(json.dumps(report, indent=1))
    provenance = {**world.provenance, "heads": {"settings": settings.to_json(run), **report}}
    replace(world, heads=heads.cpu(), provenance=provenance).save(args.world)
    return 0


def fit(config: HeadsConfig, examples: Examples, run: HeadsRun, device: str) -> RewardHeads:
    """Heads trained by cross entropy; positives count more, by the root of their rarity."""
    torch.manual_seed(run.seed)  # initial weights; everything after draws from the generator
    heads = RewardHeads(config).to(device)
    random = torch.Generator(device).manual_seed(run.seed)
    known = examples.weight.sum(0)
    positive = (examples.target * examples.weight).sum(0)
    rarity = ((known - positive) / positive.clamp_min(1)).clamp_min(1).sqrt()
    optimiser = torch.optim.AdamW(heads.parameters(), lr=run.lr, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, run.lr, run.steps, pct_start=0.1)
    # Half of each batch from frames with a positive: enough of them for a steady gradient.
    some = ((examples.target * examples.weight).sum(1) > 0).nonzero()[:, 0]
    if not len(some):
        raise ValueError("no event of any kind in the training recordings; heads learn from events")
    for step in range(1, run.steps + 1):
        drawn = torch.rand(run.batch, generator=random, device=device)
        everywhere = (drawn * len(examples.target)).long()
        half = run.batch // 2
        everywhere[:half] = some[(drawn[:half] * len(some)).long()]
        latents = examples.latents[everywhere].float()
        level = torch.rand(run.batch, 1, 1, 1, generator=random, device=device)
        shaken = torch.randn(latents.shape, generator=random, device=device)
        latents = latents + run.latent_noise * level * shaken
        logits = heads.factors(latents, examples.actions[everywhere])
        target, weight = examples.target[everywhere], examples.weight[everywhere]
        loss = F.binary_cross_entropy_with_logits(logits, target, weight, pos_weight=rarity)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            tell(f"heads step {step} of {run.steps}, loss {loss.item():.4f}")
    return heads.eval().requires_grad_(False)


@torch.no_grad()
def judge(
    world: WorldModel, heads: RewardHeads, source: Source, clips: list[int], device: str
) -> tuple[list[Tensor], list[Flags]]:
    """Raw logits (T, events) on every frame of whole clips, and the logged events."""
    logits, truth = [], []
    for done, index in enumerate(clips, 1):
        clip = source.read(index)
        latents = pairs(world, clip, np.arange(1, len(clip)), device)
        actions = torch.from_numpy(clip.actions[1:]).to(device)
        raw = [
            heads.factors(latents[start : start + 256].float(), actions[start : start + 256])
            for start in range(0, len(actions), 256)
        ]
        never = torch.full((1, len(heads.config.events)), -20.0)
        logits.append(torch.cat([never, *(part.cpu() for part in raw)]))
        truth.append(event_flags(clip.events, len(clip)))
        tell(f"judged {done} of {len(clips)} recordings")
    return logits, truth
