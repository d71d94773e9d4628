"""The table of sizes: every row builds, and its parameter counts are what the README may say."""

import pytest
import torch
from torch import nn

from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.presets import PRESETS


def count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


MEASURED = {  # of the denoiser; the tokenizer is a fitted linear code
    "micro": 46_408,
    "tiny": 4_254_848,
    "small": 90_578_304,
    "130m": 130_514_048,
    "310m": 307_236_992,
    "774m": 775_464_320,
}


@pytest.mark.parametrize("name", PRESETS)
def test_parameter_counts(name: str) -> None:
    """Built on the meta device: no memory, so the paper's sizes are tested everywhere."""
    with torch.device("meta"):
        assert count(Tokenizer(PRESETS[name].tokenizer)) == 0
        assert count(Denoiser(PRESETS[name].denoiser)) == MEASURED[name]


@pytest.mark.parametrize("name", PRESETS)
def test_tokenizer_and_denoiser_fit(name: str) -> None:
    preset = PRESETS[name]
    assert preset.tokenizer.grid == (preset.denoiser.tokens_h, preset.denoiser.tokens_w)
    assert preset.tokenizer.latents == preset.denoiser.channels
    assert preset.denoiser.head_dim % 2 == 0 and preset.denoiser.causal_blocks


def test_the_papers_sizes_are_the_papers() -> None:
    """12x768, 16x1024 and 18x1536, 384x224 pictures, 24x14 tokens, 32 frames."""
    for name, depth, width in (("130m", 12, 768), ("310m", 16, 1024), ("774m", 18, 1536)):
        preset = PRESETS[name]
        assert (preset.denoiser.depth, preset.denoiser.width) == (depth, width)
        assert (preset.tokenizer.width, preset.tokenizer.height) == (384, 224)
        assert (preset.denoiser.tokens_w, preset.denoiser.tokens_h) == (24, 14)
        assert preset.denoiser.window == 32 and len(preset.denoiser.causal_blocks) == depth
