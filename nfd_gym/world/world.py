"""World: everything that a learned world is, as one frozen value."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from nfd_gym import settings as settings_
from nfd_gym.actions import ActionCodec
from nfd_gym.data import Source, open_source
from nfd_gym.memory import Memory
from nfd_gym.memory.none import NoMemory
from nfd_gym.model.body import NoBody
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.world.drift import Drift
from nfd_gym.world.settings import WorldError, WorldSettings
from nfd_gym.world.step import Body


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """The parts must fit each other: it is checked here, not in the middle of a rollout."""

    name: str
    codec: ActionCodec
    tokenizer: Tokenizer
    denoiser: Denoiser
    memory: Memory = NoMemory()
    body: Body = NoBody()
    settings: WorldSettings = WorldSettings()
    drift: Drift | None = None  # statistics of real frames
    splits: Mapping[str, list[str]] = field(default_factory=dict)  # "train", .. -> starts
    provenance: Mapping[str, Any] = field(default_factory=dict)
    game: Mapping[str, Any] = field(default_factory=dict)  # the real game's spec; {}: not told
    path: Path | None = None  # the folder it was loaded from

    def __post_init__(self) -> None:
        sizes, picture = self.denoiser.config, self.tokenizer.config
        pairs = (
            ("token grid", (sizes.tokens_h, sizes.tokens_w), picture.grid),
            ("number of channels", sizes.channels, picture.latents),
            ("control width", sizes.control_width, self.codec.width + self.body.width),
        )
        for what, needed, given in pairs:
            if needed != given:
                raise WorldError(
                    f"world {self.name!r}: the denoiser's {what} is {needed} but its tokenizer, "
                    f"action codec and body give {given}; export parts that were trained together."
                )
        if sizes.masks not in (0, 1 + self.memory.edits):
            raise WorldError(
                f"world {self.name!r}: the denoiser takes {sizes.masks} masks and the memory gives "
                f"{1 + self.memory.edits}; export parts that were trained together."
            )
        if sizes.rays and not self.needs_poses:
            raise WorldError(
                f"world {self.name!r}: rays need a body with a camera; train with rays=false."
            )
        if self.settings.context == "auto":
            context = "noisy" if sizes.condition else "exact"
            object.__setattr__(self, "settings", replace(self.settings, context=context))
        blind = self.settings.context == "noisy" and self.settings.sigmas[-1] == 1.0
        if blind and not sizes.condition:
            raise WorldError(
                f"world {self.name!r} would never see its own frames: it has no condition and its "
                "context keeps pure noise; set context='exact'."
            )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.tokenizer.config.width, self.tokenizer.config.height

    @property
    def has_depth(self) -> bool:
        return self.tokenizer.config.depth_channels > 0

    @property
    def pose_width(self) -> int:
        """P: 5 in worlds with a camera."""
        return self.body.pose_width

    @property
    def needs_poses(self) -> bool:
        """Whether poses must be given with frames: no picture says where it was taken."""
        return self.body.pose_width > 0 and not self.body.reads

    def without_atlas(self) -> "World":
        """The same world with an empty memory: all that is not given has to be drawn."""
        emptied = getattr(self.memory, "without_atlas", None)
        if emptied is None:
            raise WorldError(f"world {self.name!r} has no atlas; leave atlas=False out.")
        return replace(self, memory=emptied())

    def starts(self) -> Source:
        """The start clips; a world may come without."""
        folder = None if self.path is None else self.path / "starts"
        if folder is None or not folder.is_dir():
            raise WorldError(
                f"world {self.name!r} has no start clips; pass reset(options={{'frames': ...}})."
            )
        return open_source(folder, kind="vpt", open_files=0)

    def describe(self) -> dict[str, Any]:
        """The configs of all parts, JSON-able: what world.json says besides names."""
        return {
            "codec": self.codec.to_json(),
            "tokenizer": settings_.to_json(self.tokenizer.config),
            "denoiser": settings_.to_json(self.denoiser.config),
            **({} if self.denoiser.kind == "denoiser" else {"network": self.denoiser.kind}),
            "memory": {"kind": self.memory.kind, "config": self.memory.config()},
            "body": {"kind": self.body.kind, "config": self.body.config()},
            "settings": settings_.to_json(self.settings),
            "drift": None if self.drift is None else settings_.to_json(self.drift),
        }

    def tensors(self) -> Iterator[tuple[str, Mapping[str, Tensor]]]:
        """(part, its tensors) of every part that has some."""
        yield "tokenizer", self.tokenizer.state_dict()
        yield "denoiser", self.denoiser.state_dict()
        for name, part in (("memory", self.memory), ("body", self.body)):
            if tensors := part.tensors():
                yield name, tensors

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change with any weight or setting; computed from content, so
        `replace` never carries it along."""
        digest = hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode())
        for part, tensors in self.tensors():
            for name, value in sorted(tensors.items()):
                digest.update(f"{part}.{name} {value.dtype} {tuple(value.shape)}".encode())
                digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]
