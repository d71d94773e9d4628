"""Stage 2: the denoiser, by flow matching with x-prediction.

Two regimes: "forced" (diffusion forcing, as in the paper: every frame of the clip has its own noise
level and learns) and "packed" (teacher forcing on [clean | noisy]: twice the tokens, clean
context). Where the last frame is recycled, the clean past reaches every frame anyway and "forced"
is half the cost.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nfd_gym.actions import Camera
from nfd_gym.data.loader import Batch
from nfd_gym.diffusion.flow import draw_sigma, interpolate, ramp_weight
from nfd_gym.diffusion.sample import sample_frame
from nfd_gym.model.carry import Heard, canvas_of, carry, colours_of, from_bytes, listen, to_bytes
from nfd_gym.model.crosshair import without_cross
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.memory import look_round, remember
from nfd_gym.model.pixels import to_float, to_uint8
from nfd_gym.model.recycle import TURNING, recycle
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.train.loop import Moment


@dataclass(frozen=True, kw_only=True)
class DenoiserLoss:
    regime: str = "forced"  # or "packed"
    pure: float = 0.3  # share of frames at noise level exactly 1
    one_step: float = 0.5  # share of clips whose frames are all at level 1, as in one-step rollouts
    ramp: bool = False  # Dreamer 4's weight 0.9 (1-sigma) + 0.1
    context_noise: float = 0.15  # packed: the clean half gets up to this much noise
    channel_power: float = (
        1.0  # channels weigh by std^power: 0 all alike (texture), 2 as in the picture (PSNR)
    )
    huber: float = 0.0  # above 0: a token's root error counts, not its square, from about here on
    energy: float = 0.5  # weight of `band_energy`, which keeps texture from fading over a rollout
    recycled_noise: float = 0.02  # noise on the recycled last frame, up to this much
    recorded: float = (
        0.4  # share of the batches whose last frames are the recorded ones, not decoded latents
    )
    rollout_from: float = 0.6  # from this share of the budget on ...
    rollout: float = 0.5  # ... this share of the batches recycles the model's own free rollout

    def __post_init__(self) -> None:
        if self.regime not in ("forced", "packed"):
            raise ValueError(f"loss.regime must be 'forced' or 'packed', got {self.regime!r}")


@dataclass(frozen=True)
class Window:
    """One batch as tensors: T frames, each with the frame before it."""

    pixels: Tensor  # (B, T+1, 3, H, W)
    latents: Tensor  # (B, T+1, N, C)
    actions: Tensor  # (B, T, A) actions[:, i] made frame i+1 from frame i
    pitch: Tensor  # (B, T+1)

    @property
    def clean(self) -> Tensor:
        return self.latents[:, 1:]


@dataclass(frozen=True)
class Trail:
    """What a free run takes along beside its last picture: a world's `Drawn`, for learning."""

    canvas: Tensor  # uint8 (B, 5, H, W)
    memory: Tensor | None
    yaw: Tensor


class Recycling:
    """Frames to recycled inputs, for one tokenizer, denoiser setting and camera."""

    def __init__(self, tokenizer: Tokenizer, kind: str, camera: Camera | None, device: str) -> None:
        self.tokenizer, self.kind, self.camera, self.device = tokenizer, kind, camera, device

    @torch.no_grad()
    def window(self, batch: Batch) -> Window:
        pixels = to_float(torch.from_numpy(batch.frames).to(self.device))
        if self.camera is not None:
            pixels = without_cross(pixels, self.camera.crosshair)
        latents = self.tokenizer.encode(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2])
        actions = torch.from_numpy(batch.actions[:, 1:]).to(self.device)
        return Window(pixels, latents, actions, torch.from_numpy(batch.pitch).to(self.device))

    @torch.no_grad()
    def decoded(self, latents: Tensor) -> Tensor:
        """(B,T,N,C) -> pixels (B,T,3,H,W), rounded to bytes as a rollout's frames are."""
        pixels: Tensor = self._rounded(latents.flatten(0, 1)).unflatten(0, latents.shape[:2])
        return pixels

    def _rounded(self, latents: Tensor) -> Tensor:
        return to_float(to_uint8(self.tokenizer.decode_unclamped(latents)))

    @torch.no_grad()
    def begin(self, model: Denoiser, window: Window) -> Trail | None:
        """The trail of a free run from a window's first frame, if `model` leaves one."""
        if not model.config.carry:
            return None
        canvas, yaw, memory = to_bytes(canvas_of(window.pixels[:, 0])), window.pitch[:, 0] * 0, None
        if self.kind in TURNING and self.camera is not None:
            first = canvas[:, None, :3]
            memory, yaw, _ = remember(first, window.actions, window.pitch, self.camera)
        return Trail(canvas, memory, yaw)

    @torch.no_grad()
    def before(
        self, trail: Trail | None, pixels: Tensor, pitch: Tensor, action: Tensor
    ) -> tuple[Trail | None, Tensor | None, Tensor | None, Tensor]:
        """The first half of a free run's step from `pixels`, seen at `pitch`: the trail, what
        memory has of the coming view (B,3,H,W), the recycled input, and the pitch after."""
        around = None
        if trail is not None and trail.memory is not None and self.camera is not None:
            memory, yaw, seen = look_round(
                trail.memory, to_bytes(pixels), trail.yaw, pitch, action, self.camera
            )
            trail, around = replace(trail, memory=memory, yaw=yaw), colours_of(seen)
        given = recycle(self.tokenizer, self.kind, self.camera, pixels, pitch, action, around)
        return trail, around, *given

    @torch.no_grad()
    def after(
        self, trail: Trail | None, around: Tensor | None, pitch: Tensor, action: Tensor,
        latents: Tensor, heard: Heard,
    ) -> tuple[Tensor, Trail | None]:  # fmt: skip
        """The picture (B,3,H,W) of `latents` (B,N,C), and the trail after it if there is one
        before it: a world's `show`, but for the crosshair."""
        if trail is None:
            return self._rounded(latents), None
        canvas = from_bytes(trail.canvas)
        seen = canvas[:, :3] if around is None else around
        picture, after = carry(
            self.tokenizer, self.kind, self.camera, canvas, seen, pitch, action, latents, heard
        )
        return to_float(to_uint8(picture)), replace(trail, canvas=to_bytes(after))

    @torch.no_grad()
    def given(self, last: Tensor, window: Window) -> Tensor | None:
        """Recycled inputs (B,T,N,C) from last frames (B,T,3,H,W) of a window."""
        if self.kind == "none":
            return None
        latents, _ = recycle(
            self.tokenizer, self.kind, self.camera,
            last.flatten(0, 1), window.pitch[:, :-1].flatten(), window.actions.flatten(0, 1),
        )  # fmt: skip
        assert latents is not None
        return latents.view(*last.shape[:2], *latents.shape[1:])

    @torch.no_grad()
    def rollout(self, model: Denoiser, window: Window, random: torch.Generator) -> Tensor:
        """Frames (B,T,3,H,W) that the model makes freely from the window's first, one step each."""
        cache = model.make_cache(len(window.actions))
        pixels, pitch = window.pixels[:, 0], window.pitch[:, 0]
        trail = self.begin(model, window)
        frames = []
        for i in range(window.actions.shape[1]):
            action, last = window.actions[:, i], pitch
            trail, around, recycled, pitch = self.before(trail, pixels, last, action)
            noise = torch.randn(window.clean[:, i].shape, generator=random, device=self.device)
            denoiser, heard = listen(model)
            clean = sample_frame(denoiser, cache, action, recycled, noise)
            pixels, trail = self.after(trail, around, last, action, clean, heard)
            frames.append(pixels)
        return torch.stack(frames, dim=1)


class DenoiserStage:
    name = "denoiser"

    def __init__(
        self, model: Denoiser, recycling: Recycling, config: DenoiserLoss, device: str
    ) -> None:
        self.model, self.recycling, self.config, self.device = model, recycling, config, device
        std = recycling.tokenizer.std**config.channel_power
        self.channel_weight = (std / std.mean()).to(device)

    def loss(self, batch: Batch, moment: Moment) -> tuple[Tensor, dict[str, float]]:
        config, random = self.config, moment.random
        window = self.recycling.window(batch)
        recycled, own = self._recycled(window, moment)
        clean, actions = window.clean, window.actions
        shape = clean.shape[:2]
        sigma = draw_sigma(shape, random, self.device, config.pure)
        one_step = torch.rand(shape[0], 1, generator=random, device=self.device) < config.one_step
        if config.regime == "forced":
            sigma = torch.where(one_step, torch.ones_like(sigma), sigma)
        noise = torch.randn(clean.shape, generator=random, device=self.device)
        noisy = interpolate(clean, noise, sigma)
        if config.regime == "forced":
            out = self.model(noisy, sigma, actions, recycled)
        else:
            light = config.context_noise * torch.rand(shape, generator=random, device=self.device)
            context = interpolate(
                clean, torch.randn(clean.shape, generator=random, device=self.device), light
            )
            out = self.model.packed(context, noisy, light, sigma, actions, recycled)
        tokens = ((out - clean).square() * self.channel_weight).mean(-1)  # (B, T, N)
        error = robust(tokens, config.huber).mean(-1)
        weighted = error * ramp_weight(sigma) if config.ramp else error
        faded = band_energy(out, clean)
        logs = self._by_level(error.detach(), sigma) | {"energy": faded.item()}
        if own:
            logs = {f"own_{key}": value for key, value in logs.items()}
        if recycled is not None and not own:
            copy = (
                (recycled[..., : clean.shape[-1]] - clean).square() * self.channel_weight
            ).mean()
            logs["copy"] = copy.item()  # what the recycled frame alone is worth
        return weighted.mean() + config.energy * faded, logs

    def _recycled(self, window: Window, moment: Moment) -> tuple[Tensor | None, bool]:
        """Recycled inputs, from recorded frames or (True) from the model's own rollout."""
        config, random = self.config, moment.random
        if self.recycling.kind == "none":
            return None, False
        draw = torch.rand((), generator=random, device=self.device).item()
        own = moment.progress >= config.rollout_from and draw < config.rollout
        if own:
            made = self.recycling.rollout(self.model, window, random)
            last = torch.cat([window.pixels[:, :1], made[:, :-1]], dim=1)
        elif draw > 1.0 - config.recorded:
            last = window.pixels[:, :-1]
        else:
            before = window.latents[:, :-1]
            level = config.recycled_noise * torch.rand(
                (*before.shape[:2], 1, 1), generator=random, device=self.device
            )
            shaken = before + level * torch.randn(
                before.shape, generator=random, device=self.device
            )
            last = self.recycling.decoded(shaken)
        return self.recycling.given(last, window), own

    def _by_level(self, error: Tensor, sigma: Tensor) -> dict[str, float]:
        """Mean error by noise level: it should rise and flatten towards 1."""
        logs = {}
        for low, high in ((0.0, 0.3), (0.3, 0.6), (0.6, 0.999), (0.999, 1.1)):
            inside = (sigma >= low) & (sigma < high)
            if inside.any():
                logs[f"sigma_{low:.1f}"] = error[inside].mean().item()
        return logs

    @torch.no_grad()
    def picture(self, batch: Batch) -> Tensor:
        """Rows real, dreamt: the first clip of the batch."""
        window = self.recycling.window(batch)
        random = torch.Generator(self.device).manual_seed(0)
        made = self.recycling.rollout(self.model, window, random)[:1]
        rows = [to_uint8(window.pixels[0, 1:]), to_uint8(made[0])]
        return torch.cat([torch.cat(list(row[:8]), dim=1) for row in rows])


def robust(squares: Tensor, scale: float) -> Tensor:
    """Pseudo-Huber of mean squares: what nobody can know (new ground at the border of a turn) is
    wrong a hundred times more than what only has to be kept, and squared it is all that a net
    learns. A root gives both the same pull; 0 keeps the squares."""
    return (squares + scale**2).sqrt() - scale if scale > 0 else squares


def band_energy(out: Tensor, clean: Tensor, bands: int = 8) -> Tensor:
    """How far the energy of each token's frequency bands is from the real one.

    Squared error makes a net that does not know where a blade of grass is draw none; a rollout
    feeds that back and is a wash after ten frames. This term knows nothing of places: it only asks
    for as much of every band (neighbouring channels of the patch code, coarse to fine) as the
    frame has.
    """
    return (amount_by_band(out, bands) - amount_by_band(clean, bands)).abs().mean()


def amount_by_band(latents: Tensor, bands: int) -> Tensor:
    """(..., C) -> (..., bands): root mean square of neighbouring channels; finite slope at 0."""
    split = latents.reshape(*latents.shape[:-1], bands, -1)
    return (split.square().mean(-1) + 1e-4).sqrt()
