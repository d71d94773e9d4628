"""Stage: the patch code of colour and inverse depth, fitted on a sample of recorded frames."""

from pathlib import Path

import numpy as np
import torch

from nfd_gym.data import Source
from nfd_gym.model.pixels import to_float
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig, depth_code
from nfd_gym.train import checkpoint
from nfd_gym.train.views import DEPTH_ONE


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
    tokenizer.colour.fit(to_float(torch.from_numpy(np.concatenate(pictures))))
    if tokenizer.depth is not None:
        near = torch.from_numpy(np.concatenate(depths).astype(np.float32) / DEPTH_ONE)
        tokenizer.depth.fit(depth_code(near[:, None]))
    return tokenizer.eval().requires_grad_(False)


def save(tokenizer: Tokenizer, path: Path) -> None:
    checkpoint.save(path, dict(tokenizer.state_dict()), {})


def load(path: Path, config: TokenizerConfig) -> Tokenizer:
    tokenizer = Tokenizer(config)
    tokenizer.load_state_dict(checkpoint.load(path)[0])
    return tokenizer.eval().requires_grad_(False)
