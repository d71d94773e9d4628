"""Where an episode begins: the `options` of `reset`, checked, and what to carry there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nfd_gym.games.luanti.folder import MAPGENS
from nfd_gym.settings import nearest

# Drawn when no place is asked for; the commonest lands come more than once.
BIOMES = (
    "grassland", "grassland", "grassland",
    "deciduous_forest", "deciduous_forest", "deciduous_forest",
    "coniferous_forest", "coniferous_forest", "savanna", "savanna", "desert", "snowy_grassland",
)  # fmt: skip
KNOWN_BIOMES = (*dict.fromkeys(BIOMES), "taiga", "sandstone_desert", "cold_desert")
OPTIONS = ("place", "mapgen", "world_seed")
HIGHEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Spot:
    """An exact place, in the env's coordinates and degrees."""

    position: tuple[float, float, float]
    yaw: float = 0.0
    pitch: float = 5.0

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "Spot":
        known = ("position", "yaw", "pitch")
        for key in values:
            if key not in known:
                raise ValueError(f"a place has no {key!r}; did you mean {nearest(key, known)!r}?")
        position = np.asarray(values.get("position", ()), dtype=float)
        angles = np.asarray([values.get("yaw", 0.0), values.get("pitch", 5.0)], dtype=float)
        if position.shape != (3,) or not np.isfinite([*position, *angles]).all():
            raise ValueError(
                "a place needs a position (x, y, z) and finite angles, such as "
                f'{{"position": (10, 8, -3), "yaw": 90}}, got {dict(values)!r}.'
            )
        x, y, z = position.tolist()
        return cls((x, y, z), *angles.tolist())


@dataclass(frozen=True)
class Wish:
    """What a reset asks for: a biome's name, an exact Spot, or None for any good place."""

    place: str | Spot | None
    mapgen: str
    world_seed: int

    def __post_init__(self) -> None:
        if isinstance(self.place, str) and self.place not in KNOWN_BIOMES:
            close = nearest(self.place, KNOWN_BIOMES)
            raise ValueError(f"no place {self.place!r}; did you mean {close!r}?")
        if self.mapgen not in MAPGENS:
            close = nearest(str(self.mapgen), MAPGENS)
            raise ValueError(f"no mapgen {self.mapgen!r}; did you mean {close!r}?")
        if not 0 <= self.world_seed <= HIGHEST_SEED:
            raise ValueError(f"world_seed must be 0 to {HIGHEST_SEED}, got {self.world_seed}.")

    def with_options(self, options: Mapping[str, Any] | None) -> "Wish":
        """For one reset; the next one without options is as the env was made."""
        changes = dict(options or {})
        for key in changes:
            if key not in OPTIONS:
                raise ValueError(f"no option {key!r}; did you mean {nearest(key, OPTIONS)!r}?")
        if isinstance(changes.get("place"), Mapping):
            changes["place"] = Spot.parse(changes["place"])
        if "world_seed" in changes:
            changes["world_seed"] = int(changes["world_seed"])
        return replace(self, **changes)


def bag(rng: np.random.Generator) -> list[str]:
    """What the player carries in slots 1 to 4: a tool, a shovel, blocks to build with."""
    return [
        str(rng.choice(["default:axe_steel", "default:axe_steel", "default:pick_steel"])),
        "default:shovel_steel",
        str(rng.choice(["default:dirt 99", "default:wood 99", "default:cobble 99"])),
        str(rng.choice(["default:torch 99", "default:stone 99", "default:stonebrick 99"])),
    ]


def command(wish: Wish, rng: np.random.Generator) -> dict[str, Any]:
    """The server mod's command for a wish; everything undecided is drawn from `rng`."""
    fields: dict[str, Any] = {"items": bag(rng), "seed": int(rng.integers(1, HIGHEST_SEED))}
    if isinstance(wish.place, Spot):
        x, y, z = wish.place.position
        # The env mirrors x and yaw, so that Minecraft's formulas hold (see env.py).
        look = {"yaw": -wish.place.yaw, "pitch": wish.place.pitch}
        return {**fields, "at": {"x": -x, "y": y, "z": z}, **look}
    biome = str(rng.choice(BIOMES)) if wish.place is None else wish.place
    return {**fields, "biome": biome, "strict": wish.place is not None}
