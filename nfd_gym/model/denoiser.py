"""Denoiser: a block-causal diffusion transformer that predicts the clean frame.

Every frame brings its noisy tokens, its noise level, a control vector (the action that produced it
and what the body says) and condition tokens (the memory's view of the coming frame: its code first,
then masks and rays). All tokens of a frame see each other; in every `causal_every`-th block they
also see the frames of the window before. One module serves training (`forward` on a clip with its
own noise levels, or `packed` teacher forcing) and cached rollout (`forward` with a cache).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfd_gym.errors import UsageError
from nfd_gym.model.attention import over_frames, over_packed, within_frames
from nfd_gym.model.cache import FrameCache
from nfd_gym.model.condition import Condition, Looked
from nfd_gym.model.rope import angles, rotate

RAY_WIDTH = 81  # of memory/rays.py; a test holds them equal
POINTER = 4  # numbers of a pose in the picture: right, down, cosine and sine of its angle
POINTER_WAVES = (1, 2, 4, 8, 16)  # half periods a picture
POINTER_WIDTH = 2 + 4 * len(POINTER_WAVES)


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    tokens_h: int = 7
    tokens_w: int = 12
    channels: int = 128
    control_width: int = 25  # A + K: the action and what the body tells
    width: int = 192
    depth: int = 6
    heads: int = 6
    mlp_ratio: int = 4
    window: int = 3  # frames before the present one that a causal block sees
    causal_every: int = 3  # 1: every block looks back, as in the paper; 3: blocks 3, 6, ... do
    condition: bool = True  # the memory's view is an input and the prediction is a change to it
    masks: int = 0  # masks of the view (sharp and E kinds of edit), each 16 numbers a token
    rays: bool = False  # tokens know where their ray starts and points
    fov_y: float = 72.0  # degrees; only rays ask
    looks: tuple[int, ...] = ()  # tokens of the view that decide what an action does: all are told
    pointers: int = 0  # poses in the picture that end the control: tokens know their place in each

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width // self.heads % 2:
            raise UsageError(f"width {self.width} must be a multiple of 2 * heads ({self.heads})")
        if self.depth < self.causal_every:
            raise UsageError(
                f"no block would look back: depth {self.depth} < causal_every {self.causal_every}"
            )
        if not 0 <= POINTER * self.pointers <= self.control_width:
            raise UsageError(
                f"{self.pointers} pointers are {POINTER * self.pointers} numbers of a control that "
                f"has {self.control_width}; set pointers to at most {self.control_width // POINTER}"
            )
        if (self.masks or self.rays or self.looks) and not self.condition:
            raise UsageError(
                "masks, rays and looks are part of the condition; set condition to true"
            )
        if any(not 0 <= token < self.tokens for token in self.looks):
            raise UsageError(f"looks {self.looks} must be tokens from 0 to {self.tokens - 1}")

    @property
    def tokens(self) -> int:
        return self.tokens_h * self.tokens_w

    @property
    def condition_width(self) -> int:
        """G: channels of a condition token."""
        if not self.condition:
            return 0
        return self.channels + 16 * self.masks + RAY_WIDTH * self.rays

    @property
    def head_dim(self) -> int:
        return self.width // self.heads

    @property
    def causal_blocks(self) -> list[int]:
        return [i for i in range(self.depth) if (i + 1) % self.causal_every == 0]


Look = Callable[[int, Tensor, Tensor, Tensor], Tensor]  # (block, q, k, v) -> attended values


class Denoiser(nn.Module):
    kind = "denoiser"

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        d, c = config.width, config.channels
        extra = config.condition_width + POINTER_WIDTH * config.pointers
        self.tokens_in = nn.Linear(c + extra, d)
        self.places = nn.Parameter(torch.zeros(config.tokens, d))  # RoPE knows distances only
        self.condition = Condition(config.control_width, d)
        looked = c * len(config.looks)
        self.looked = Looked(looked + config.control_width, d) if looked else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.modulation_out = nn.Linear(d, 2 * d)
        self.tokens_out = nn.Linear(d, c)
        for zero in (self.modulation_out, self.tokens_out):
            nn.init.zeros_(zero.weight)
            nn.init.zeros_(zero.bias)

    def forward(
        self,
        noisy: Tensor,
        sigma: Tensor,
        control: Tensor,
        condition: Tensor | None = None,
        cache: FrameCache | None = None,
        commit: int = 0,
    ) -> Tensor:
        """Clean prediction (B,T,N,C) of T frames, block-causal among themselves and over the cache.

        Shapes: noisy (B,T,N,C), sigma (B,T), control (B,T,A+K), condition (B,T,N,G).
        Side effect: the first `commit` frames' keys and values are appended to the cache.
        """
        past = cache.length if cache else 0
        mask = cache.mask() if cache else None
        new = noisy.shape[1]
        turn = self._angles(past, new, noisy.device)
        kept: list[tuple[Tensor, Tensor]] = []

        def look(block: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            if block not in self._layer_of:
                return within_frames(rotate(q, turn[past:]), rotate(k, turn[past:]), v)
            kept.append((k, v))
            if past:
                assert cache is not None
                old_k, old_v = cache.past(self._layer_of[block])
                k, v = torch.cat([old_k, k], dim=1), torch.cat([old_v, v], dim=1)
            return over_frames(
                rotate(q, turn[past:]), rotate(k, turn), v, past, self.config.window, mask
            )

        clean, _ = self._run(noisy, sigma, control, condition, look)
        if commit and cache is not None:
            cache.append(
                torch.stack([k[:, :commit] for k, _ in kept]),
                torch.stack([v[:, :commit] for _, v in kept]),
            )
        return clean

    def packed(
        self,
        clean: Tensor,
        noisy: Tensor,
        sigma_clean: Tensor,
        sigma: Tensor,
        control: Tensor,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Teacher forcing: predicts the noisy half; noisy frames see the clean ones before them."""
        return self.packed_features(clean, noisy, sigma_clean, sigma, control, condition, ())[0]

    def packed_features(
        self,
        clean: Tensor,
        noisy: Tensor,
        sigma_clean: Tensor,
        sigma: Tensor,
        control: Tensor,
        condition: Tensor | None,
        blocks: tuple[int, ...],
    ) -> tuple[Tensor, list[Tensor]]:
        """As `packed`, and the tokens (B,T,N,D) of the noisy half after the named blocks."""
        count = clean.shape[1]
        out, features = self._run(
            torch.cat([clean, noisy], dim=1),
            torch.cat([sigma_clean, sigma], dim=1),
            control.repeat(1, 2, 1),
            None if condition is None else condition.repeat(1, 2, 1, 1),
            self._packed_look(count, clean.device),
            blocks,
        )
        return out[:, count:], [kept[:, count:] for kept in features]

    def make_cache(self, num_envs: int, spare: int = 0) -> FrameCache:
        c = self.config
        where = self.tokens_in.weight
        return FrameCache(
            len(c.causal_blocks),
            num_envs,
            c.window,
            c.tokens,
            c.heads,
            c.head_dim,
            spare,
            where.device,
            where.dtype,
        )

    @property
    def _layer_of(self) -> dict[int, int]:
        return {block: layer for layer, block in enumerate(self.config.causal_blocks)}

    def _angles(self, past: int, new: int, device: torch.device) -> Tensor:
        times = torch.arange(-past, new, device=device)
        return angles(times, self.config.tokens_h, self.config.tokens_w, self.config.head_dim)

    def _packed_look(self, frames: int, device: torch.device) -> Look:
        turn = self._angles(0, frames, device).repeat(2, 1, 1)

        def look(block: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            q, k = rotate(q, turn), rotate(k, turn)
            if block not in self._layer_of:
                return within_frames(q, k, v)
            return over_packed(q, k, v, self.config.window)

        return look

    def _run(
        self,
        noisy: Tensor,
        sigma: Tensor,
        control: Tensor,
        condition: Tensor | None,
        look: Look,
        blocks: tuple[int, ...] = (),
    ) -> tuple[Tensor, list[Tensor]]:
        if (condition is None) == self.config.condition:
            raise UsageError(
                f"condition={self.config.condition} does not fit {type(condition).__name__}"
            )
        inputs = [noisy] if condition is None else [noisy, condition]
        for i in range(-POINTER * self.config.pointers, 0, POINTER):
            pose = control[..., i : i + POINTER or None]
            inputs.append(pointer_waves(pose, self.config.tokens_h, self.config.tokens_w))
        x = self.tokens_in(torch.cat(inputs, dim=-1)) + self.places
        told = None
        if self.looked is not None:
            assert condition is not None
            looked = condition[..., self.config.looks, : self.config.channels].flatten(-2)
            told = self.looked(torch.cat([looked, control], dim=-1))
        vector = self.condition(sigma, control, told)[:, :, None]  # (B, T, 1, D)
        features: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x = block(x, vector, lambda q, k, v, i=index: look(i, q, k, v))
            if index in blocks:
                features.append(x)
        shift, scale = self.modulation_out(vector).chunk(2, dim=-1)
        out: Tensor = self.tokens_out(_norm(x) * (1 + scale) + shift)
        if condition is not None:
            out = out + condition[..., : self.config.channels]
        return out, features


class Block(nn.Module):
    """Attention and MLP, each switched on by adaLN-Zero from the frame's condition."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        d = config.width
        self.heads = config.heads
        self.modulation = nn.Linear(d, 6 * d)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.q_scale = nn.Parameter(torch.ones(config.head_dim))
        self.k_scale = nn.Parameter(torch.ones(config.head_dim))
        self.attended = nn.Linear(d, d)
        self.mlp_in = nn.Linear(d, config.mlp_ratio * d)
        self.mlp_out = nn.Linear(config.mlp_ratio * d, d)

    def forward(
        self, x: Tensor, condition: Tensor, look: Callable[[Tensor, Tensor, Tensor], Tensor]
    ) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition).chunk(6, dim=-1)
        qkv = self.qkv(_norm(x) * (1 + scale1) + shift1)
        q, k, v = qkv.unflatten(-1, (3, self.heads, -1)).unbind(-3)
        q, k = _rms(q) * self.q_scale, _rms(k) * self.k_scale
        x = x + gate1 * self.attended(look(q, k, v).flatten(-2))
        mixed: Tensor = x + gate2 * self.mlp_out(
            F.silu(self.mlp_in(_norm(x) * (1 + scale2) + shift2))
        )
        return mixed


def pointer_waves(pose: Tensor, h: int, w: int) -> Tensor:
    """Waves (B,T,h*w,22) of every token's place in the axes of a pose (B,T,4).

    That is the way from the pose to the token's middle, turned by minus its angle. A pose is right
    and down, each -1 to 1 over the picture, and the cosine and sine of its angle, which grows from
    right towards down.
    """
    down, right = (
        (2 * torch.arange(n, device=pose.device, dtype=pose.dtype) + 1) / n - 1 for n in (h, w)
    )
    middles = torch.stack(torch.meshgrid(right, down, indexing="xy"), -1).flatten(0, 1)  # (N,2)
    across, along = (middles - pose[..., None, :2]).unbind(-1)  # (B,T,N)
    cos, sin = pose[..., 2:3], pose[..., 3:4]
    place = torch.stack([cos * across + sin * along, cos * along - sin * across], -1)
    phases = [math.pi * k * place for k in POINTER_WAVES]
    return torch.cat([place, *(f for p in phases for f in (p.sin(), p.cos()))], dim=-1)


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def _rms(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)
