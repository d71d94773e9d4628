"""WorldModel: the artefact on disk, one folder with everything a world needs. Immutable after load.

world.json              format, codec, sizes, sampler, starts, provenance, checksums
tokenizer.safetensors   denoiser.safetensors   [heads.safetensors]      fp16 weights
starts/                 start clips in the store format of nfd_gym.data
README.md               the card
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nfd_gym import settings
from nfd_gym.actions import ActionCodec, codec_from_json
from nfd_gym.data import DataError, Source, open_source
from nfd_gym.model.denoiser import Denoiser, DenoiserConfig
from nfd_gym.model.heads import HeadsConfig, RewardHeads
from nfd_gym.model.recycle import recycle
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig

FORMAT = 1


class WorldError(ValueError):
    """A world folder that is missing, incomplete, corrupt or of a newer format."""


@dataclass(frozen=True, kw_only=True)
class WorldSettings:
    """How a world is sampled when nobody says otherwise."""

    fps: float = 20.0
    sigmas: tuple[float, ...] = (1.0,)  # noise levels of the denoising steps
    context: str = (
        "noisy"  # whose keys and values the cache keeps: "noisy" last step's, "exact" own pass
    )
    clean_sigma: float = 0.0  # level that the own pass is labelled with
    latent_limit: float = 5.0  # generated latents are clamped to this many standard deviations

    def __post_init__(self) -> None:
        if (
            not self.sigmas
            or self.sigmas[0] != 1.0
            or list(self.sigmas) != sorted(self.sigmas, reverse=True)
        ):
            raise ValueError(f"sigmas must fall from 1.0, got {self.sigmas}")
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
    splits: Mapping[str, list[str]] = field(
        default_factory=dict
    )  # "train"/"test" -> names of start clips
    provenance: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None  # the folder it was loaded from
    fingerprint: str = ""  # changes with any weight or setting; saved states and caches carry it

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
        return open_source(folder)

    def recycle(
        self, pixels: Tensor, pitch: Tensor, actions: Tensor
    ) -> tuple[Tensor | None, Tensor]:
        """The last frame (B,3,H,W) as the next input, and the pitch (B,) after `actions` (B,A)."""
        camera = self.codec.camera
        fov_y = None if camera is None else camera.fov_y
        return recycle(self.tokenizer, self.denoiser.config.recycle, fov_y, pixels, pitch, actions)

    def save(self, path: str | Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the folder; world.json comes last, so a killed save is no world. Without starts."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        sums = {
            name: _write_weights(folder / f"{name}.safetensors", part, dtype)
            for name, part in self._parts()
        }
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
        _write_text(folder / "world.json", json.dumps(described, indent=1) + "\n")

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
            heads = described["heads"]
            heads = (
                None
                if heads is None
                else RewardHeads(settings.from_json(HeadsConfig, heads, "heads"))
            )
            model = cls(
                name=str(described["name"]),
                codec=codec_from_json(described["codec"]),
                tokenizer=tokenizer,
                denoiser=denoiser,
                heads=heads,
                settings=settings.from_json(WorldSettings, described["settings"], "settings"),
                splits={key: list(names) for key, names in described["splits"].items()},
                provenance=described["provenance"],
                path=folder,
                fingerprint=_fingerprint(described),
            )
            sums = described["sha256"]
            for name, part in model._parts():
                _read_weights(folder / f"{name}.safetensors", part, sums[name])
                part.to(device).eval().requires_grad_(False)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
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
    if not isinstance(described, dict) or not isinstance(described.get("format"), int):
        raise WorldError(f"{file} is no world description (it has no format number)")
    if described["format"] > FORMAT:
        raise WorldError(
            f"{file} has format {described['format']}, this nfd_gym reads up to {FORMAT}; "
            "upgrade with `pip install -U nfd_gym`"
        )
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
    temporary = file.with_name(file.name + ".tmp")
    save_file(weights, temporary)
    os.replace(temporary, file)
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
        raise WorldError(f"{file} does not fit world.json: {error}") from error


def _write_text(file: Path, text: str) -> None:
    temporary = file.with_name(file.name + ".tmp")
    temporary.write_text(text, "utf-8")
    os.replace(temporary, file)
