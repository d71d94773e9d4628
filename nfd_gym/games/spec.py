"""Game spec: what the rest of the house may know about a game, as plain frozen data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from nfd_gym.actions import ActionCodec, codec_from_json
from nfd_gym.settings import SettingsError, nearest


@dataclass(frozen=True)
class FirstPerson:
    """First-person camera of a 3D game: field of view, eye height, reach, block lattice."""

    fov_y: float  # vertical field of view, degrees
    eye_height: float  # of the eye above the feet, metres
    reach: float  # how far the player can dig and place, metres
    lattice: float | None = None  # edge of a block in metres; None: the world has no blocks


class HasGame(Protocol):
    """A learned world: games know no more of it."""

    @property
    def game(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class GameSpec:
    """Action codec, camera, frame rate, picture size, tasks, events and probes of one game.

    `probes` tells evaluation what can be measured in this game: a probe's name and its figures.
    """

    id: str  # of the real game in Gymnasium
    codec: ActionCodec
    fps: float
    size: tuple[int, int]  # (width, height)
    camera: FirstPerson | None = None
    tasks: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    probes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    keys: Mapping[str, int] = field(default_factory=dict)  # play's binding -> numbered action

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "codec": self.codec.to_json(),
            "fps": self.fps,
            "size": list(self.size),
            "camera": None if self.camera is None else asdict(self.camera),
            "tasks": list(self.tasks),
            "events": list(self.events),
            "probes": {name: dict(probe) for name, probe in self.probes.items()},
            "keys": dict(self.keys),
        }

    @classmethod
    def of_world(cls, world: "HasGame") -> "GameSpec | None":
        """What a learned world says of its real game; None if it does not say."""
        return cls.from_json(world.game) if world.game else None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "GameSpec":
        """The spec that wrote `data` with `to_json`; an unknown or missing key is an error."""
        known = set(cls.__dataclass_fields__)
        for key in data:
            if key not in known:
                raise SettingsError(
                    f"game spec: unknown key {key!r}; the nearest is {nearest(key, known)!r}."
                )
        missing = sorted(known - {"keys"} - set(data))  # older worlds have no keys
        if missing:
            raise SettingsError(f"game spec: the key {missing[0]!r} is missing; save it again.")
        width, height = (int(side) for side in data["size"])
        return cls(
            id=str(data["id"]),
            codec=codec_from_json(data["codec"]),
            fps=float(data["fps"]),
            size=(width, height),
            camera=None if data["camera"] is None else FirstPerson(**data["camera"]),
            tasks=tuple(data["tasks"]),
            events=tuple(data["events"]),
            probes={name: dict(probe) for name, probe in data["probes"].items()},
            keys={str(key): int(action) for key, action in data.get("keys", {}).items()},
        )
