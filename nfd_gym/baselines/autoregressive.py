"""Autoregressive world model: a frame's tokens as words, each predicted from those before it.

The sequence is [action, token 1, ..., token N] for every frame, as in MineWorld (arXiv 2504.07257);
the action is also added to each token, or it takes hours to be learned.
It is called as a `Denoiser` is, so it stands in a world in its place: at noise level 0 a given
frame is put into words and into the cache; at level 1 a frame is drawn, the noise deciding each
word.
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfd_gym.baselines.fsq import words
from nfd_gym.baselines.schedules import DECODINGS, passes
from nfd_gym.errors import UsageError
from nfd_gym.model.attention import attend
from nfd_gym.model.cache import FrameCache
from nfd_gym.model.denoiser import DenoiserConfig
from nfd_gym.model.rope import angles, rotate


@dataclass(frozen=True, kw_only=True)
class AutoregressiveConfig(DenoiserConfig):
    """`condition` is the last frame, whose words stand in where diagonal decoding has none yet."""

    words: int = 768  # V
    decoding: str = "raster"
    lag: int = 2  # tokens by which a row is behind the one above, in diagonal decoding
    top_p: float = 1.0  # the likeliest words that together have this chance are drawn from

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.decoding not in DECODINGS:
            raise UsageError(f"decoding must be one of {DECODINGS}, got {self.decoding!r}")
        if self.masks or self.rays or not self.condition:
            raise UsageError("an autoregressive world's condition is the last frame without masks")
        if self.lag < 1 or not 0 < self.top_p <= 1:
            raise UsageError(f"lag {self.lag} must be at least 1 and top_p {self.top_p} in (0, 1]")


class Autoregressive(nn.Module):
    kind = "autoregressive"
    table: Tensor

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.config = config
        d = config.width
        self.register_buffer("table", torch.zeros(config.words, config.channels))
        self.action_in = nn.Linear(config.control_width, d)
        self.words_in = nn.Embedding(config.words, d)
        nn.init.normal_(self.words_in.weight, std=0.3)
        self.places = nn.Parameter(torch.zeros(config.tokens + 1, d))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.words_out = nn.Linear(d, config.words)

    def words(self, latents: Tensor) -> Tensor:
        """Words (...,N) of codes (...,N,C)."""
        return words(latents, self.table)

    def logits(self, told: Tensor, control: Tensor) -> Tensor:
        """Logits (B,T,N,V) of every word of clips (B,T,N) from those before it."""
        return self._read(told, control, None)[0]

    def forward(
        self, noisy: Tensor, sigma: Tensor, control: Tensor, condition: Tensor | None = None,
        cache: FrameCache | None = None, commit: int = 0,
    ) -> Tensor:  # fmt: skip
        """Codes (B,T,N,C) of given frames (level 0), or of a drawn one (level 1, T = 1).

        Side effect: the first `commit` given frames' keys and values are appended to the cache.
        """
        if bool((sigma == 0).all()):
            told = self.words(noisy)
            if commit and cache is not None:
                kept = self._read(told, control, cache)[1]
                cache.append(
                    torch.stack([k[:, :commit] for k, _ in kept]),
                    torch.stack([v[:, :commit] for _, v in kept]),
                )
            return self.table[told]
        if noisy.shape[1] != 1 or bool((sigma != 1).any()):
            raise UsageError(
                "an autoregressive world draws one frame at a time in one step; use steps=1 and "
                "speculate='ahead' or 'off'"
            )
        assert condition is not None
        last = self.words(condition[:, 0, :, : self.config.channels])
        chance = 0.5 * (1 + torch.erf(noisy[:, 0, :, 0] / math.sqrt(2)))  # uniform, of the noise
        return self.table[self._drawn(last, chance, control[:, 0], cache)][:, None]

    def make_cache(self, num_envs: int, spare: int = 0) -> FrameCache:
        c, where = self.config, self.words_out.weight
        return FrameCache(
            c.depth, num_envs, c.window, c.tokens + 1, c.heads, c.head_dim, spare, where.device,
            where.dtype,
        )  # fmt: skip

    @property
    def _layers(self) -> list["Block"]:
        return cast(list[Block], list(self.blocks))

    def _inputs(self, told: Tensor, control: Tensor) -> Tensor:
        """Embeddings (...,N+1,D): the action, then the words, to each of which it is added."""
        action = self.action_in(control)[..., None, :]
        x = torch.cat([torch.zeros_like(action), self.words_in(told)], dim=-2)
        out: Tensor = x + action + self.places
        return out

    def _turn(self, past: int, new: int) -> Tensor:
        """Angles (past+new,N+1,head_dim/2); the action stands in the first token's place."""
        c = self.config
        times = torch.arange(-past, new, device=self.places.device)
        turn = angles(times, c.tokens_h, c.tokens_w, c.head_dim)
        return torch.cat([turn[:, :1], turn], dim=1)

    def _read(
        self, told: Tensor, control: Tensor, cache: FrameCache | None
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Logits (B,T,N,V) of given words, and keys and values of every block."""
        past, new, size = cache.length if cache else 0, told.shape[1], self.config.tokens + 1
        turn = self._turn(past, new)
        place = torch.arange(past * size, (past + new) * size)[:, None]
        key = torch.arange((past + new) * size)
        seen = (key <= place) & (key // size >= place // size - self.config.window)
        mask = _with_missing(seen[None].expand(len(told), -1, -1), cache, size)
        x = self._inputs(told, control)
        kept: list[tuple[Tensor, Tensor]] = []
        for layer, block in enumerate(self._layers):
            q, k, v = block.heads_of(x)
            kept.append((k, v))
            if past:
                assert cache is not None
                old_k, old_v = cache.past(layer)
                k, v = torch.cat([old_k, k], dim=1), torch.cat([old_v, v], dim=1)
            q, k = rotate(q, turn[past:]), rotate(k, turn)
            out = attend(q.flatten(1, 2), k.flatten(1, 2), v.flatten(1, 2), mask)
            x = block.joined(x, out.unflatten(1, (new, size)))
        logits: Tensor = self.words_out(_norm(x[:, :, :-1]))
        return logits, kept

    def _drawn(
        self, last: Tensor, chance: Tensor, control: Tensor, cache: FrameCache | None
    ) -> Tensor:
        """Words (B,N) of the next frame. `last` (B,N): the frame before; `chance` (B,N): a uniform
        number for each word.

        A place whose word is not decoded when a later one needs it holds the last frame's word, and
        is read again once the true one is known.
        """
        c, past = self.config, cache.length if cache else 0
        size, envs = c.tokens + 1, len(last)
        turn = self._turn(past, 1)
        told = last.clone()
        olds = []  # of every block: keys and values of the past frames, and room for this one
        for layer in range(c.depth):
            room = self.places.new_zeros(2, envs, size, c.heads, c.head_dim)
            if past:
                assert cache is not None
                old_k, old_v = cache.past(layer)
                old = torch.stack([rotate(old_k, turn[:past]), old_v]).flatten(2, 3)
                room = torch.cat([old, room], dim=2)
            olds.append(room)
        start = past * size
        filled = torch.zeros(start + size, dtype=torch.bool)
        filled[:start] = True
        again: list[int] = []  # places to be read again
        for tokens in passes(c.decoding, c.tokens_h, c.tokens_w, c.lag):
            read = sorted({*tokens, *again})
            at = torch.tensor(read)
            x = self._inputs(told, control)[:, at]
            filled[start + at] = True
            seen = filled & (torch.arange(start + size) <= (start + at)[:, None])
            mask = _with_missing(seen[None].expand(envs, -1, -1), cache, size)
            for block, room in zip(self._layers, olds, strict=True):
                q, k, v = block.heads_of(x)
                room[0][:, start + at], room[1][:, start + at] = rotate(k, turn[past, at]), v
                x = block.joined(x, attend(rotate(q, turn[past, at]), room[0], room[1], mask))
            mine = torch.tensor([read.index(token) for token in tokens])
            logits = self.words_out(_norm(x[:, mine]))
            told[:, tokens] = pick(logits, chance[:, tokens], c.top_p)
            again = [
                token + 1
                for token in tokens
                if token + 1 < c.tokens and bool(filled[start + token + 1])
            ]
        return told


class Block(nn.Module):
    """Attention and MLP before normalisation."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        d = config.width
        self.heads = config.heads
        self.scales = nn.Parameter(torch.ones(2, d))
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.attended = nn.Linear(d, d)
        self.mlp_in = nn.Linear(d, config.mlp_ratio * d)
        self.mlp_out = nn.Linear(config.mlp_ratio * d, d)

    def heads_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (...,heads,d) of tokens (...,D)."""
        qkv = self.qkv(_norm(x) * self.scales[0])
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).unbind(-3)
        return _norm(q), _norm(k), v

    def joined(self, x: Tensor, looked: Tensor) -> Tensor:
        """Tokens (...,D) after what they looked at (...,heads,d)."""
        x = x + self.attended(looked.flatten(-2))
        out: Tensor = x + self.mlp_out(F.silu(self.mlp_in(_norm(x) * self.scales[1])))
        return out


def pick(logits: Tensor, chance: Tensor, top_p: float) -> Tensor:
    """Words (...,) drawn from logits (...,V) by uniform numbers (...,); likeliest words first."""
    odds, order = logits.softmax(-1).sort(dim=-1, descending=True)
    total = odds.cumsum(-1)
    odds = odds * (total - odds < top_p)
    total = odds.cumsum(-1)
    place = (total < chance[..., None] * total[..., -1:]).sum(-1, keepdim=True)
    return order.gather(-1, place.clamp_max(logits.shape[-1] - 1))[..., 0]


def _with_missing(seen: Tensor, cache: FrameCache | None, size: int) -> Tensor:
    """Mask (B,1,S,R) of what tokens see (B,S,R), less the past frames that an environment lacks."""
    mask = None if cache is None else cache.mask()
    if mask is not None:
        there = mask.repeat_interleave(size, dim=1)
        there = torch.cat([there, there.new_ones(len(seen), seen.shape[-1] - there.shape[1])], 1)
        seen = seen & there[:, None]
    return seen[:, None]


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])
