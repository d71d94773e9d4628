"""WorldModel: the artefact on disk, one folder with everything a world needs. Immutable after load.

world.json              format, codec, sizes, sampler, starts, provenance, checksums
tokenizer.safetensors   denoiser.safetensors   [heads.safetensors]      fp16 weights
starts/                 start clips in the store format of nfd_gym.data
README.md               the card
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nfd_gym import settings
from nfd_gym.actions import ActionCodec, codec_from_json
from nfd_gym.data import DataError, Source, open_source
from nfd_gym.data.files import PART, commit, write_text
from nfd_gym.model.carry import Heard, canvas_of, carry, colours_of, from_bytes, to_bytes
from nfd_gym.model.crosshair import uncrossed, with_cross, without_cross
from nfd_gym.model.denoiser import Denoiser, DenoiserConfig
from nfd_gym.model.heads import HeadsConfig, RewardHeads, glimpse
from nfd_gym.model.memory import forgotten, look_round, note, panorama, remember
from nfd_gym.model.pixels import to_float, to_uint8
from nfd_gym.model.recycle import TURNING, recycle
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig

FORMAT = 1


class WorldError(ValueError):
    """A world folder that is missing, incomplete, corrupt or of a newer format."""


@dataclass(frozen=True, kw_only=True)
class WorldSettings:
    """How a world is sampled when nobody says otherwise."""

    fps: float = 20.0
    sigmas: tuple[float, ...] = (1.0,)  # noise levels of the denoising steps
    context: str = "noisy"  # keys and values in the cache: "noisy" last step's, "exact" own pass
    clean_sigma: float = 0.0  # level that the own pass is labelled with
    latent_limit: float = 8.0  # generated latents are clamped to this many standard deviations
    temperature: float = 1.0  # scale of the noise that sampling starts from; 0: the mean picture

    def __post_init__(self) -> None:
        falling = all(after < now for now, after in pairwise(self.sigmas))
        if not self.sigmas or self.sigmas[0] != 1.0 or not falling or self.sigmas[-1] <= 0:
            raise ValueError(f"sigmas must fall from 1.0 and stay above 0, got {self.sigmas}")
        for name in ("fps", "latent_limit"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.context not in ("noisy", "exact"):
            raise ValueError(f"context must be 'noisy' or 'exact', got {self.context!r}")


@dataclass(frozen=True, kw_only=True)
class WorldModel:
    name: str
    codec: ActionCodec
    tokenizer: Tokenizer
    denoiser: Denoiser
    heads: RewardHeads | None = None
    settings: WorldSettings = WorldSettings()
    splits: Mapping[str, list[str]] = field(default_factory=dict)  # "train"/"test" -> start clips
    provenance: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None  # the folder it was loaded from
    fingerprint: str = ""  # changes with any weight or setting; saved states and caches carry it

    def __post_init__(self) -> None:
        """The parts must fit each other: better here than in the middle of a rollout."""
        sizes, picture = self.denoiser.config, self.tokenizer.config
        pairs = (
            ("token grid", (sizes.tokens_h, sizes.tokens_w), picture.grid),
            ("number of channels", sizes.channels, picture.channels),
            ("action width", sizes.action_width, self.codec.width),
        )
        for what, needed, given in pairs:
            if needed != given:
                raise WorldError(
                    f"world {self.name!r}: the denoiser's {what} is {needed} but its tokenizer and "
                    f"action codec give {given}; bundle runs that were trained together"
                )
        if sizes.recycle in TURNING and self.codec.camera is None:
            raise WorldError(
                f"world {self.name!r} warps the last frame but its action codec has no camera; "
                "train with --set model.recycle=plain"
            )
        if self.heads is not None and self.heads.config.size > min(self.size):
            raise WorldError(
                f"world {self.name!r}: its heads look at {self.heads.config.size} pixels, its "
                f"picture has {min(self.size)}; train them with --set size={min(self.size)}"
            )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.tokenizer.config.width, self.tokenizer.config.height

    def starts(self) -> Source:
        """The start clips; a world may come without."""
        folder = None if self.path is None else self.path / "starts"
        if folder is None or not folder.is_dir():
            raise WorldError(
                f"world {self.name!r} has no start clips; pass reset(options={{'frames': ...}})"
            )
        return open_source(folder, "vpt", open_files=0)  # read once each, then closed

    def see(self, frames: Tensor) -> Tensor:
        """uint8 (...,H,W,3) -> what the networks look at (...,3,H,W): without the crosshair."""
        return without_cross(to_float(frames), self._arm)

    def canvas(self, frames: Tensor) -> Tensor:
        """Frames uint8 (B,H,W,3) that came from outside as `show` wants the last one."""
        return to_bytes(canvas_of(self.see(frames)))

    @property
    def remembers(self) -> bool:
        """Whether what leaves the view is kept for when the camera comes back."""
        shape = self.denoiser.config
        return shape.carry and shape.recycle in TURNING

    def remember(
        self, frames: Tensor, actions: Tensor, pitch: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `memory.remember`; a clip of frames uint8 (B,T,H,W,3)."""
        camera = self.codec.camera
        pixels = uncrossed(frames, self._arm)
        if self.remembers and camera is not None:
            return remember(pixels, actions, pitch, camera)
        return forgotten(len(frames), frames.device), torch.zeros_like(pitch[:, 0]), pixels[:, :-1]

    def look_round(
        self, memory: Tensor, frame: Tensor, yaw: Tensor, pitch: Tensor, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `memory.look_round`; `frame` uint8 (B,H,W,3) is on show. A world that does not
        remember looks nowhere."""
        camera, pixels = self.codec.camera, uncrossed(frame, self._arm)
        if not self.remembers or camera is None:
            return memory, yaw, pixels
        return look_round(memory, pixels, yaw, pitch, actions, camera)

    def panorama(self, memory: Tensor, frame: Tensor, yaw: Tensor, pitch: Tensor) -> Tensor:
        """All round as a picture uint8 (B,H,2H,3): see `memory.panorama`; `frame` is on show."""
        camera = self.codec.camera
        if not self.remembers or camera is None:
            raise WorldError(
                f"world {self.name!r} remembers nothing of what leaves the view; "
                "train one with --set model.carry=true and a camera"
            )
        noted = note(memory, uncrossed(frame, self._arm), yaw, pitch, camera.fov_y)
        return panorama(noted).permute(0, 2, 3, 1)

    def glimpses(self, frames: Tensor) -> Tensor:
        """What the last frames of a clip uint8 (B,T,H,W,3) aimed at, as its heads want it; without
        heads of no frame."""
        if self.heads is None:
            return frames[:, :0, :0, :0]
        last = range(frames.shape[1] - self.heads.config.frames, frames.shape[1])
        return glimpse(frames[:, [max(0, i) for i in last]], self.heads.config.size)

    def show(
        self, canvas: Tensor, around: Tensor, pitch: Tensor, actions: Tensor, latents: Tensor,
        heard: Heard,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Latents (B,N,C) -> uint8 (B,H,W,3), with the crosshair; and the next canvas.

        `canvas` uint8 (B,5,H,W) and `pitch` are those before `actions` (B,A), `around` uint8
        (B,3,H,W) is what `look_round` found, `heard` what the denoiser told meanwhile. A world that
        carries nothing leaves the canvas as it is.
        """
        shape, camera = self.denoiser.config, self.codec.camera
        if shape.carry:
            last, seen = from_bytes(canvas), colours_of(around)
            pixels, after = carry(
                self.tokenizer, shape.recycle, camera, last, seen, pitch, actions, latents, heard
            )
            canvas = to_bytes(after)
        else:
            pixels = self.tokenizer.decode_unclamped(latents)
        return to_uint8(with_cross(pixels.clamp(-1.0, 1.0), self._arm)), canvas

    @property
    def _arm(self) -> int:
        return 0 if self.codec.camera is None else self.codec.camera.crosshair

    def recycle(
        self, pixels: Tensor, pitch: Tensor, actions: Tensor, around: Tensor | None = None
    ) -> tuple[Tensor | None, Tensor]:
        """The last frame (B,3,H,W), as `see` gives it, as the next input; and the pitch (B,) after
        `actions` (B,A). `around` uint8 (B,3,H,W) is what `look_round` found."""
        kind, camera = self.denoiser.config.recycle, self.codec.camera
        seen = None if around is None or not self.remembers else colours_of(around)
        return recycle(self.tokenizer, kind, camera, pixels, pitch, actions, seen)

    def save(self, path: str | Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the folder; world.json comes last, so a killed save is no world. Without starts."""
        folder = Path(path)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            sums = {
                name: _write_weights(folder / f"{name}.safetensors", part, dtype)
                for name, part in self._parts()
            }
        except (OSError, SafetensorError) as error:
            raise WorldError(
                f"{folder} cannot be written ({error}); free space or choose another folder"
            ) from error
        described = {
            "format": FORMAT,
            "name": self.name,
            "codec": self.codec.to_json(),
            "tokenizer": settings.to_json(self.tokenizer.config),
            "denoiser": settings.to_json(self.denoiser.config),
            "heads": None if self.heads is None else settings.to_json(self.heads.config),
            "settings": settings.to_json(self.settings),
            "splits": dict(self.splits),
            "provenance": dict(self.provenance),
            "sha256": sums,
        }
        write_text(folder / "world.json", json.dumps(described, indent=1) + "\n")

    def _parts(self) -> list[tuple[str, nn.Module]]:
        parts: list[tuple[str, nn.Module]] = [
            ("tokenizer", self.tokenizer),
            ("denoiser", self.denoiser),
        ]
        return parts if self.heads is None else [*parts, ("heads", self.heads)]

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> "WorldModel":
        """Read a world folder, strictly: anything missing, changed or unknown is a WorldError."""
        folder = Path(path)
        described = _read_json(folder)
        try:
            tokenizer = Tokenizer(
                settings.from_json(TokenizerConfig, described["tokenizer"], "tokenizer")
            )
            denoiser = Denoiser(
                settings.from_json(DenoiserConfig, described["denoiser"], "denoiser")
            )
            heads = None
            if described["heads"] is not None:
                heads = RewardHeads(settings.from_json(HeadsConfig, described["heads"], "heads"))
            model = cls(
                name=str(described["name"]),
                codec=codec_from_json(described["codec"]),
                tokenizer=tokenizer,
                denoiser=denoiser,
                heads=heads,
                settings=settings.from_json(WorldSettings, described["settings"], "settings"),
                splits={key: list(names) for key, names in described["splits"].items()},
                provenance=dict(described["provenance"]),
                path=folder,
                fingerprint=_fingerprint(described),
            )
            sums = described["sha256"]
            for name, part in model._parts():
                _read_weights(folder / f"{name}.safetensors", part, sums[name])
                part.to(device).eval().requires_grad_(False)
        except (
            KeyError, TypeError, AttributeError, ValueError, ArithmeticError, RuntimeError,
        ) as error:  # fmt: skip
            if isinstance(error, WorldError | DataError):
                raise
            what = f"the key {error} is missing" if isinstance(error, KeyError) else str(error)
            raise WorldError(
                f"{folder / 'world.json'}: {what}; restore the world from its source"
            ) from error
        return model


def _read_json(folder: Path) -> dict[str, Any]:
    file = folder / "world.json"
    if not file.is_file():
        raise WorldError(
            f"no world at {folder} (it has no world.json); "
            "train one with `python -m nfd_gym train` or give the folder of one"
        )
    try:
        described = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise WorldError(
            f"{file} is not JSON ({error}); restore the world from its source"
        ) from error
    form = described.get("format") if isinstance(described, dict) else None
    if type(form) is not int or form < 1:
        raise WorldError(
            f"{file} is no world description (it has no format number); give the folder of a world"
        )
    if form > FORMAT:
        raise WorldError(
            f"{file} has format {form}, this nfd_gym reads up to {FORMAT}; "
            "upgrade with `pip install -U nfd_gym`"
        )
    assert isinstance(described, dict)
    return described


def _fingerprint(described: Mapping[str, Any]) -> str:
    core = {
        key: described[key]
        for key in ("codec", "tokenizer", "denoiser", "heads", "settings", "sha256")
    }
    return hashlib.sha256(json.dumps(core, sort_keys=True).encode()).hexdigest()[:16]


def _write_weights(file: Path, part: nn.Module, dtype: torch.dtype) -> str:
    weights = {
        key: (value.to(dtype) if value.is_floating_point() else value).contiguous().cpu()
        for key, value in part.state_dict().items()
    }
    bad = [key for key, value in weights.items() if not value.isfinite().all()]
    if bad:
        raise WorldError(
            f"{file}: weight {bad[0]} is not finite as {dtype}; train with a lower --set loop.lr "
            "or save with dtype=torch.float32"
        )
    temporary = file.with_name(f".{file.name}{PART}")
    save_file(weights, temporary)
    commit(temporary, file)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _read_weights(file: Path, part: nn.Module, expected: str) -> None:
    if not file.is_file():
        raise WorldError(f"{file} is missing; restore the world from its source")
    if hashlib.sha256(file.read_bytes()).hexdigest() != expected:
        raise WorldError(
            f"{file} is damaged (its checksum differs from world.json); restore it from its source"
        )
    try:
        weights = {
            key: value.float() if value.is_floating_point() else value
            for key, value in load_file(file).items()
        }
        part.load_state_dict(weights, strict=True)
    except (SafetensorError, RuntimeError) as error:
        first = " ".join(str(error).split())[:200]
        raise WorldError(
            f"{file} does not fit world.json ({first}); restore the world from its source"
        ) from error
