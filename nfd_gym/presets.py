"""The table of sizes: one row per world. Parameter counts are asserted in tests/test_presets.py."""

from dataclasses import dataclass

from nfd_gym.model.denoiser import DenoiserConfig
from nfd_gym.model.tokenizer import TokenizerConfig


@dataclass(frozen=True, kw_only=True)
class Preset:
    tokenizer: TokenizerConfig
    denoiser: DenoiserConfig


def _paper(width: int, depth: int, heads: int, channels: int = 128) -> Preset:
    """The paper's sizes: 384x224 pictures, 24x14 tokens, 32 frames of context in every block."""
    return Preset(
        tokenizer=TokenizerConfig(height=224, width=384, channels=channels),
        denoiser=DenoiserConfig(
            tokens_h=14, tokens_w=24, channels=channels, width=width, depth=depth, heads=heads,
            window=32, causal_every=1,
        ),
    )  # fmt: skip


PRESETS: dict[str, Preset] = {
    # for tests: a second to build and train a step
    "micro": Preset(
        tokenizer=TokenizerConfig(height=32, width=48, channels=8),
        denoiser=DenoiserConfig(
            tokens_h=2, tokens_w=3, channels=8, width=32, depth=2, heads=2, window=4, causal_every=2
        ),
    ),
    # trained and played on two CPU cores
    "tiny": Preset(tokenizer=TokenizerConfig(), denoiser=DenoiserConfig()),
    # for one GPU and an afternoon
    "small": Preset(
        tokenizer=TokenizerConfig(),
        denoiser=DenoiserConfig(width=640, depth=12, heads=10, window=16, causal_every=3),
    ),
    "130m": _paper(768, 12, 12),
    "310m": _paper(1024, 16, 16),
    "774m": _paper(1536, 18, 24),
}
