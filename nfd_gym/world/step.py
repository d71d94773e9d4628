"""The one step of a learned world: play, own rollouts in training and evaluation all call it."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from nfd_gym.diffusion.sample import Network, sample_frame
from nfd_gym.memory import Edit, Memory, MemoryState, View
from nfd_gym.memory.rays import ray_waves
from nfd_gym.model.body import Move
from nfd_gym.model.cache import FrameCache
from nfd_gym.model.denoiser import DenoiserConfig
from nfd_gym.model.pixels import to_uint8
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.world.settings import WorldSettings
from nfd_gym.world.state import WorldState

SHARP = 0.9  # of a view's pixel: its detail is worth keeping


class Body(Protocol):
    """Moves the eye; stored in a world folder by its kind, config and tensors."""

    @property
    def kind(self) -> str:
        """The name that world/kinds.py knows it by."""

    @property
    def width(self) -> int:
        """K, the width of a move's control."""

    @property
    def pose_width(self) -> int:
        """P, the width of a pose: 5 with a camera; 0: no pose."""

    @property
    def reads(self) -> bool:
        """Whether `read` finds poses in pictures; if not, they must be given with them."""

    @property
    def edits(self) -> tuple[str, ...]:
        """Names of the kinds of edit 1, 2, ...: "dig" or "place NODE", as `info["events"]` says."""

    def move(
        self, memory: Memory, state: WorldState, action: Tensor, noise: Tensor | None = None
    ) -> Move:
        """The eye after `action` (B,A). What is left to chance is drawn from the frame's `noise`
        (B,N,C), or not known without it."""

    def start(self, poses: Tensor, actions: Tensor) -> Tensor:
        """Motion (B,M) at the end of given poses (B,T,P) under actions (B,T,A)."""

    def read(self, frames: Tensor, actions: Tensor) -> Tensor:
        """Poses (B,T,P) of given frames uint8 (B,T,H,W,3) under actions (B,T,A)."""

    def config(self) -> dict[str, Any]:
        """JSON-able settings, as `build` takes them."""

    def tensors(self) -> dict[str, Tensor]:
        """Weights, as `build` takes them."""

    @classmethod
    def build(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "Body":
        """The body that gave `config` and `tensors`."""


class DenoiserLike(Network, Protocol):
    """A denoiser, compiled or not."""

    @property
    def config(self) -> DenoiserConfig: ...


class Parts(Protocol):
    """What the step needs of a world; `World` is one, engines and training make others."""

    @property
    def tokenizer(self) -> Tokenizer: ...
    @property
    def denoiser(self) -> DenoiserLike: ...
    @property
    def memory(self) -> Memory: ...
    @property
    def body(self) -> Body: ...
    @property
    def settings(self) -> WorldSettings: ...


@torch.no_grad()
def predict(
    world: Parts, state: WorldState, action: Tensor, noise: Tensor, cache: FrameCache
) -> WorldState:
    """The state after `action` (B,A), drawn from standard normal `noise` (B,N,C).

    Side effect: one frame of keys and values is appended to `cache`. Where the denoiser may not
    change what memory knows (`trust` 0) and sees no past, it is only asked for environments in
    which there is something to draw; the frames are the same.
    """
    how = world.settings
    move, memory, edit = act(world, state, action, noise)
    view = world.memory.read(memory, state.frame, move.pose)
    kept = how.trust == 0 and view.nearness.shape[1] > 0  # what memory knows stays as it is
    control = torch.cat([action, move.control], dim=-1)
    asked = torch.ones(len(action), dtype=torch.bool, device=action.device)
    if kept and not cache.window:
        asked = to_be_drawn(view)
    if bool(asked.all()):
        picture = draw(world, view, move.pose, control, noise, cache)
    else:
        picture = known_picture(world, view)
        rows = asked.nonzero()[:, 0]
        if not len(rows):
            return WorldState(*picture, move.pose, move.motion, memory, edit)
        drawn = draw(
            world,
            view.of(rows),
            move.pose[rows],
            control[rows],
            noise[rows],
            cache.beside(len(rows)),
        )
        for whole, part in zip(picture, drawn, strict=True):
            whole[rows] = part
    frame, nearness, _ = picture
    memory = world.memory.write(memory, view, frame, nearness, move.pose)
    return WorldState(*picture, move.pose, move.motion, memory, edit)


def act(
    world: Parts, state: WorldState, action: Tensor, noise: Tensor | None = None
) -> tuple[Move, MemoryState, Edit]:
    """The body's move under `action` (B,A), memory after its edit, and that edit."""
    move = world.body.move(world.memory, state, action, noise)
    memory = world.memory.edit(state.memory, move.edit)
    return move, memory, no_edit(action) if move.edit is None else move.edit


Picture = tuple[Tensor, Tensor, Tensor]  # frame uint8 (B,H,W,3), nearness (B,H,W), latents (B,N,C)


def draw(
    world: Parts, view: View, pose: Tensor, control: Tensor, noise: Tensor, cache: FrameCache
) -> Picture:
    """The pictures that the denoiser makes of views at poses (B,P) under control (B,A+K)."""
    how = world.settings
    condition = condition_tokens(world.tokenizer, world.denoiser.config, view, pose)
    latents = sample_frame(
        world.denoiser, cache, control, condition, how.temperature * noise, how.sigmas,
        how.context, how.method,
    ).clamp(-how.latent_limit, how.latent_limit)  # fmt: skip
    frame, nearness = render(world.tokenizer, latents, view, how.hold, how.trust, condition)
    return frame, nearness, latents


def known_picture(world: Parts, view: View) -> Picture:
    """The pictures that views are by themselves."""
    latents = world.tokenizer.encode(view.colour, view.nearness)
    return to_uint8(view.colour), view.nearness[:, 0].clone(), latents


def drawn_alone(world: Parts, cache: FrameCache) -> bool:
    """Whether no later frame hangs on a frame: memory alone says what is seen, remembers nothing of
    what is painted, and the body knows where it is without pictures."""
    memory = world.memory
    paints = getattr(memory, "keeps_paint", True)
    return world.settings.trust == 0 and not (cache.window or paints or world.body.reads)


@torch.no_grad()
def unseen(world: Parts, state: WorldState, action: Tensor) -> WorldState:
    """The state after `action` (B,A) in a world that is `drawn_alone`, the old frame on show."""
    move, memory, edit = act(world, state, action)
    return state._replace(pose=move.pose, motion=move.motion, memory=memory, edit=edit)


def to_be_drawn(view: View) -> Tensor:
    """Which views (B,) leave the denoiser anything to draw: unknown, edited or writable pixels."""
    parts = ((view.sharp == 0), (view.edited > 0), (view.open > 0))
    return torch.stack([part.flatten(1).any(1) for part in parts]).any(0)


def view_code(tokenizer: Tokenizer, view: View) -> Tensor:
    """A view's code (B,N,C)."""
    if view.code is not None:
        return view.code
    return tokenizer.encode(view.colour, view.nearness)


def condition_tokens(
    tokenizer: Tokenizer, config: DenoiserConfig, view: View, pose: Tensor
) -> Tensor | None:
    """A view as tokens (B,N,G): its code first, then masks on a 4x4 grid a token, then rays."""
    if not config.condition:
        return None
    parts = [view_code(tokenizer, view)]
    if config.masks:
        parts.append(tokenizer.mask_tokens(torch.cat([view.sharp, view.edited], dim=1)))
    if config.rays:
        parts.append(ray_waves(pose, config.tokens_h, config.tokens_w, config.fov_y))
    return torch.cat(parts, dim=-1)


def render(
    tokenizer: Tokenizer, latents: Tensor, view: View, hold: float, trust: float = 255.0,
    condition: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Latents (B,N,C) as a frame uint8 (B,H,W,3) and nearness (B,H,W), (B,0,0) without depth.

    The condition (B,N,G) begins with the view's code; without one the view is coded here.
    A token that the view knows whole, that no edit touches and whose prediction differs from the
    view's own code by less than `hold` grey levels (root mean square) keeps the view's pixels.
    Elsewhere, in worlds with depth, detail of sharp pixels that the code cannot hold is added, and
    a pixel that memory knows stays within `trust` grey levels of it, more where memory is coarse,
    at memory's depth.
    """
    colour, nearness = tokenizer.decode(latents)
    if hold <= 0 and not nearness.shape[1]:  # nothing is kept
        return to_uint8(colour), colour.new_zeros(len(colour), 0, 0)
    if condition is None:
        condition = view_code(tokenizer, view)
    code_colour, _ = tokenizer.decode(condition[..., : tokenizer.config.latents])
    known = (tokenizer.token_min(view.sharp) > 0) & (tokenizer.token_max(view.edited) == 0)
    moved = tokenizer.token_rms(colour - code_colour) * 127.5
    still = tokenizer.spread(known & (moved < hold))
    if not nearness.shape[1]:
        flat = colour.new_zeros(len(colour), 0, 0)
        kept = view.colour if view.code is None else code_colour
        return to_uint8(torch.where(still, kept, colour)), flat
    sharp = (view.sharp >= SHARP).to(colour.dtype)
    colour = colour + sharp * (view.colour - code_colour)
    sure = (view.sharp > 0) & (view.edited.sum(1, keepdim=True) == 0)
    limit = trust / 127.5 / view.sharp.clamp_min(0.1).square()
    change = torch.minimum((colour - view.colour).abs(), limit) * (colour - view.colour).sign()
    colour = torch.where(sure, view.colour + change, colour)
    nearness = torch.where(sure | still, view.nearness, nearness).clamp_min(0.0)
    return to_uint8(torch.where(still, view.colour, colour)), nearness[:, 0]


@torch.no_grad()
def prime(
    world: Parts, cache: FrameCache, frames: Tensor, nearness: Tensor, poses: Tensor,
    actions: Tensor, noise: Tensor, memory: MemoryState | None = None,
) -> WorldState:  # fmt: skip
    """The state at the end of a given clip, with the cache filled by teacher forcing.

    frames uint8 (B,T,H,W,3), nearness (B,T,H,W), poses (B,T,P), actions (B,T,A), noise (B,T,N,C).
    The first frame is not committed: what came before it is unknown. `memory`, where it is given,
    holds that frame and those before it.
    """
    how, body = world.settings, world.body
    sigma = how.sigmas[-1] if how.context == "noisy" else 0.0
    latents = world.tokenizer.encode_frames(frames, nearness)  # (B,T,N,C)
    noisy = (1 - sigma) * latents + sigma * how.temperature * noise
    if memory is None:
        memory = world.memory.start(frames[:, :1], nearness[:, :1], poses[:, :1])
    motion = body.start(poses[:, :1], actions[:, :1])
    state = WorldState(
        frames[:, 0], nearness[:, 0], latents[:, 0], poses[:, 0], motion, memory,
        no_edit(actions[:, 0]),
    )  # fmt: skip
    for i in range(1, frames.shape[1]):
        move = body.move(world.memory, state, actions[:, i])
        memory = world.memory.edit(state.memory, move.edit)
        view = world.memory.read(memory, frames[:, i - 1], poses[:, i])
        condition = condition_tokens(world.tokenizer, world.denoiser.config, view, poses[:, i])
        world.denoiser(
            noisy[:, i : i + 1],
            noisy.new_full((len(noisy), 1), sigma),
            torch.cat([actions[:, i], move.control], dim=-1)[:, None],
            None if condition is None else condition[:, None],
            cache,
            1,
        )
        memory = world.memory.write(memory, view, frames[:, i], nearness[:, i], poses[:, i])
        motion = body.start(poses[:, : i + 1], actions[:, : i + 1])
        edit = no_edit(actions[:, i]) if move.edit is None else move.edit
        state = WorldState(
            frames[:, i], nearness[:, i], latents[:, i], poses[:, i], motion, memory, edit
        )
    return state


def no_edit(action: Tensor) -> Edit:
    """The edit of environments that change nothing under `action` (B,A)."""
    kind = torch.zeros(len(action), dtype=torch.long, device=action.device)
    return Edit(kind, kind[:, None].expand(-1, 3).clone())
