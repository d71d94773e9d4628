"""Stage: the patch code of colour and inverse depth, fitted on a sample of recorded frames.

An autoencoder sees rare patches as often as it can: half of every batch is drawn by the inverse
root of how many patches look alike. The noise on its code is what makes it draw whole things from
half-wrong codes.
"""

from pathlib import Path

import numpy as np
import torch
from einops import rearrange, reduce
from torch import Tensor

from nfd_gym.data import Source
from nfd_gym.model.patch_net import PatchNet
from nfd_gym.model.pixels import to_float
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig, depth_code
from nfd_gym.progress import Progress
from nfd_gym.train import checkpoint
from nfd_gym.train.views import DEPTH_ONE

STEPS, BATCH, RATE = 10_000, 768, 2e-3
NOISE = 0.3  # deviation of the noise on an autoencoder's code


def fit(source: Source, config: TokenizerConfig, frames: int, seed: int = 0) -> Tokenizer:
    """A tokenizer fitted on `frames` frames drawn evenly from the clips of a source."""
    random = np.random.default_rng(seed)
    pictures, depths = [], []
    share = max(1, frames // len(source.names))
    for index in random.permutation(len(source.names)):
        length = source.lengths[int(index)]
        start = int(random.integers(max(1, length - share)))
        stop = min(length, start + 8 * share)
        clip = source.read(int(index), start, stop)
        pictures.append(clip.frames[::8])
        if config.depth_channels:
            assert clip.depth is not None
            depths.append(clip.depth[::8])
        if sum(map(len, pictures)) >= frames:
            break
    tokenizer = Tokenizer(config)
    frames_seen = torch.from_numpy(np.concatenate(pictures))
    if isinstance(tokenizer.colour, PatchNet):
        fit_net(tokenizer.colour, frames_seen, seed)
    else:
        tokenizer.colour.fit(to_float(frames_seen))
    if tokenizer.depth is not None:
        near = torch.from_numpy(np.concatenate(depths).astype(np.float32) / DEPTH_ONE)
        tokenizer.depth.fit(depth_code(near[:, None]))
    return tokenizer.eval().requires_grad_(False)


def fit_net(net: PatchNet, frames: Tensor, seed: int = 0, count: int = STEPS) -> None:
    """Side effect: the autoencoder is fitted to the patches of frames uint8 (B,H,W,3)."""
    p = net.patch
    patches = rearrange(frames, "b (h p) (w q) k -> (b h w) (k p q)", p=p, q=p)
    chances = rarity(patches, net.planes, p).cumsum(0)
    random = torch.Generator().manual_seed(seed)
    for layer in (*net.inwards, *net.outwards):
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.xavier_uniform_(layer.weight, generator=random)
            torch.nn.init.zeros_(layer.bias)
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=0.0)
    with Progress(count, "steps") as bar:
        for number in range(count):
            for group in optimiser.param_groups:
                group["lr"] = RATE * min(1.0, number / 100, 2 * (1 - number / count))
            even = torch.randint(len(patches), (BATCH // 2,), generator=random)
            drawn = torch.rand(BATCH // 2, generator=random, dtype=chances.dtype) * chances[-1]
            rows = torch.cat([even, torch.searchsorted(chances, drawn).clamp_max(len(patches) - 1)])
            true = patches[rows].float() / 127.5 - 1.0
            code = net.code(true)
            noise = NOISE * torch.randn(code.shape, generator=random)
            loss = (net.patches(code + noise) - true).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            bar.add()


def rarity(patches: Tensor, planes: int, patch: int) -> Tensor:
    """One over the root of how many patches uint8 (N,K*p*p) look alike: the same 2x2 averages in
    steps of 16 grey levels; float64 (N,)."""
    half = patch // 2
    means = reduce(
        patches.float(), "n (k y a x b) -> n (k y x)", "mean", k=planes, y=2, a=half, x=2, b=half
    )
    _, kind, counts = (means / 16).floor().unique(dim=0, return_inverse=True, return_counts=True)
    weight: Tensor = counts[kind].double().rsqrt()
    return weight


def save(tokenizer: Tokenizer, path: Path) -> None:
    checkpoint.save(path, dict(tokenizer.state_dict()), {})


def load(path: Path, config: TokenizerConfig) -> Tokenizer:
    tokenizer = Tokenizer(config)
    tokenizer.load_state_dict(checkpoint.load(path)[0])
    return tokenizer.eval().requires_grad_(False)
