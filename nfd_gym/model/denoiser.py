"""Denoiser: a block-causal diffusion transformer that predicts the clean frame.

Every frame brings its noisy tokens, its noise level, the action that produced it, and (recycled)
the encoded last frame. All tokens of a frame see each other; in every `causal_every`-th block they
also see the frames of the window before. One module serves training (`forward` on a clip with its
own noise levels, or `packed` teacher forcing) and cached rollout (`forward` with a cache).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfd_gym.model.attention import over_frames, over_packed, within_frames
from nfd_gym.model.cache import FrameCache
from nfd_gym.model.motion import Motion
from nfd_gym.model.recycle import KINDS, VIEW
from nfd_gym.model.rope import angles, rotate


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    tokens_h: int = 7
    tokens_w: int = 12
    channels: int = 128
    action_width: int = 25
    width: int = 256
    depth: int = 6
    heads: int = 4
    mlp_ratio: int = 4
    window: int = 8  # frames before the present one that a causal block sees
    causal_every: int = 3  # 1: every block looks back, as in the paper; 3: blocks 3, 6, ... do
    # The last frame as input: "none", "plain", "warp"ed by the commanded rotation, "both", or
    # "walk": both, and the commanded step, from which `motion` knows how far near things slide.
    recycle: str = "warp"
    motion: int = 0  # learned motion of the recycled frame, so many cells along a token; 0: none
    patch: int = 16  # pixels a token spans and ...
    fov_y: float = 72.0  # ... degrees the picture does: only `motion` asks
    carry: bool = False  # what the code of the last frame lost goes along with `motion`
    places: bool = False  # learned embedding of the place on the screen, beside relative RoPE
    form: str = "x"  # the head's "x" is clean, "anchored": (1-s)*noisy + s*D, "v": velocity

    def __post_init__(self) -> None:
        if self.width % self.heads or self.width // self.heads % 2:
            raise ValueError(f"width {self.width} must be a multiple of 2 * heads ({self.heads})")
        if self.recycle not in KINDS:
            raise ValueError(f"recycle must be one of {tuple(KINDS)}, got {self.recycle!r}")
        if self.form not in ("x", "anchored", "v"):
            raise ValueError(f"form must be 'x', 'anchored' or 'v', got {self.form!r}")
        if self.motion and (self.recycle == "none" or self.form == "v"):
            raise ValueError(
                "motion moves the recycled frame of a clean prediction; set motion to 0 "
                f"for recycle={self.recycle!r}, form={self.form!r}"
            )
        if self.carry and not self.motion:
            raise ValueError("carry follows the motion of the last frame; set motion above 0")
        if self.depth < self.causal_every:
            raise ValueError(
                f"no block would look back: depth {self.depth} < causal_every {self.causal_every}"
            )

    @property
    def tokens(self) -> int:
        return self.tokens_h * self.tokens_w

    @property
    def given(self) -> int:
        """Channels of the recycled input."""
        return KINDS[self.recycle] * self.channels + VIEW * (self.recycle == "walk")

    @property
    def head_dim(self) -> int:
        return self.width // self.heads

    @property
    def causal_blocks(self) -> list[int]:
        return [i for i in range(self.depth) if (i + 1) % self.causal_every == 0]


MOVED, FIELD = -1, -2  # what `watch` hears beside the blocks: frames before the paint, motion
Look = Callable[[int, Tensor, Tensor, Tensor], Tensor]  # (block, q, k, v) -> attended values


class Denoiser(nn.Module):
    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        d, c = config.width, config.channels
        self.tokens_in = nn.Linear(c + config.given, d)
        # The hand and the crosshair have their places on the screen; RoPE knows distances only.
        self.places = nn.Parameter(torch.zeros(config.tokens, d)) if config.places else None
        self.condition = Condition(config.action_width, d)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.modulation_out = nn.Linear(d, 2 * d)
        self.tokens_out = nn.Linear(d, c)
        self.motion = None
        if config.motion:
            grid, walks = (config.tokens_h, config.tokens_w), config.recycle == "walk"
            self.motion = Motion(grid, d, c, config.patch, config.motion, config.fov_y, walks)
        for zero in (self.modulation_out, self.tokens_out):
            nn.init.zeros_(zero.weight)
            nn.init.zeros_(zero.bias)

    def forward(
        self,
        noisy: Tensor,
        sigma: Tensor,
        actions: Tensor,
        recycled: Tensor | None = None,
        cache: FrameCache | None = None,
        commit: int = 0,
        watch: Callable[[int, Tensor], None] | None = None,
    ) -> Tensor:
        """Clean prediction (B,T,N,C) of T frames, block-causal among themselves and over the cache.

        Shapes: noisy (B,T,N,C), recycled (B,T,N,config.given), sigma (B,T), actions (B,T,A).
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

        clean = self._run(noisy, sigma, actions, recycled, look, watch)
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
        actions: Tensor,
        recycled: Tensor | None = None,
    ) -> Tensor:
        """Teacher forcing: predicts the noisy half; noisy frames see the clean ones before them."""
        tokens = torch.cat([clean, noisy], dim=1)
        out = self._run(
            tokens,
            torch.cat([sigma_clean, sigma], dim=1),
            actions.repeat(1, 2, 1),
            None if recycled is None else recycled.repeat(1, 2, 1, 1),
            self._packed_look(clean.shape[1], clean.device),
        )
        return out[:, clean.shape[1] :]

    def features(
        self,
        clean: Tensor,
        noisy: Tensor,
        sigma_clean: Tensor,
        sigma: Tensor,
        actions: Tensor,
        recycled: Tensor | None,
        blocks: list[int],
    ) -> list[Tensor]:
        """Tokens (B,T,N,D) of the noisy half after the named blocks, packed as in `packed`."""
        kept: list[Tensor] = []
        self._run(
            torch.cat([clean, noisy], dim=1),
            torch.cat([sigma_clean, sigma], dim=1),
            actions.repeat(1, 2, 1),
            None if recycled is None else recycled.repeat(1, 2, 1, 1),
            self._packed_look(clean.shape[1], clean.device),
            lambda index, x: kept.append(x[:, clean.shape[1] :]) if index in blocks else None,
        )
        return kept

    def make_cache(self, lanes: int, spare: int = 0) -> FrameCache:
        c = self.config
        where = self.tokens_in.weight
        return FrameCache(
            len(c.causal_blocks),
            lanes,
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
        actions: Tensor,
        recycled: Tensor | None,
        look: Look,
        watch: Callable[[int, Tensor], None] | None = None,
    ) -> Tensor:
        if (recycled is None) != (self.config.recycle == "none"):
            raise ValueError(
                f"recycle={self.config.recycle!r} does not fit recycled={type(recycled).__name__}"
            )
        x = self.tokens_in(noisy if recycled is None else torch.cat([noisy, recycled], dim=-1))
        if self.places is not None:
            x = x + self.places
        condition = self.condition(sigma, actions)[:, :, None]  # (B, T, 1, D)
        for index, block in enumerate(self.blocks):
            x = block(x, condition, lambda q, k, v, i=index: look(i, q, k, v))
            if watch:
                watch(index, x)
        shift, scale = self.modulation_out(condition).chunk(2, dim=-1)
        hidden = _norm(x) * (1 + scale) + shift
        out: Tensor = self.tokens_out(hidden)
        level = sigma[..., None, None]
        if self.config.form == "v":
            return noisy - level * out
        if recycled is not None:
            c = self.config.channels
            moved = recycled[..., :c]
            if self.motion:
                out, moved, field = self.motion(hidden, recycled, out)
                if watch:
                    watch(FIELD, field)
            else:
                out = out + moved
            if watch:
                watch(MOVED, moved)
        return (1 - level) * noisy + level * out if self.config.form == "anchored" else out


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


class Condition(nn.Module):
    """One vector per frame from its noise level and its action."""

    def __init__(self, action_width: int, width: int, bands: int = 16) -> None:
        super().__init__()
        self.bands = bands
        self.level = nn.Sequential(nn.Linear(2 * bands, width), nn.SiLU(), nn.Linear(width, width))
        self.action = nn.Sequential(
            nn.Linear(3 * action_width, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, sigma: Tensor, actions: Tensor) -> Tensor:
        """sigma (B,T), actions (B,T,A) -> (B,T,D).

        Frequencies grow from 1, not 1000: the derivative to sigma stays small, which
        continuous-time distillation needs.
        """
        frequency = torch.exp(
            torch.arange(self.bands, device=sigma.device) * (math.log(16.0) / self.bands)
        )
        phase = sigma[..., None] * frequency
        waves = torch.cat([phase.cos(), phase.sin()], dim=-1)
        # sines beside the raw values let a linear layer tell small camera steps apart
        rich = torch.cat(
            [actions, (math.pi * actions).sin(), (4 * math.pi * actions).sin()], dim=-1
        )
        return F.silu(self.level(waves) + self.action(rich))


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def _rms(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)
