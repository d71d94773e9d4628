"""Where an episode begins: the `options` of `reset`, checked, and what to carry there."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nfd_gym.envs.place import Place
from nfd_gym.errors import UsageError
from nfd_gym.games.luanti.folder import GAMES, MAPGENS
from nfd_gym.games.luanti.spec import KINDS
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
class Wish:
    """What a reset asks for: a biome's name, an exact Place, or None for any good place."""

    place: str | Place | None
    mapgen: str = "v7"
    world_seed: int = 1
    game: str = "minetest"

    def __post_init__(self) -> None:
        if self.game not in GAMES:
            raise UsageError(f"no game {self.game!r}; did you mean {nearest(self.game, GAMES)!r}?")
        if self.game == "island":
            self._check_island()
        elif isinstance(self.place, Place) and self.place.position[1] is None:
            raise UsageError("Minetest Game's places need a position (x, y, z); y is missing.")
        if isinstance(self.place, str) and self.place not in KNOWN_BIOMES:
            close = nearest(self.place, KNOWN_BIOMES)
            raise UsageError(f"no place {self.place!r}; did you mean {close!r}?")
        if self.mapgen not in MAPGENS:
            close = nearest(str(self.mapgen), MAPGENS)
            raise UsageError(f"no mapgen {self.mapgen!r}; did you mean {close!r}?")
        if not 0 <= self.world_seed <= HIGHEST_SEED:
            raise UsageError(f"world_seed must be 0 to {HIGHEST_SEED}, got {self.world_seed}.")

    def _check_island(self) -> None:
        if isinstance(self.place, str):
            raise UsageError(
                f"the island has no biomes such as {self.place!r}; name a position (x, z)."
            )
        if (self.mapgen, self.world_seed) != (Wish.mapgen, Wish.world_seed):
            raise UsageError("the island is always the same; mapgen and world_seed are Minetest's.")

    def with_options(self, options: Mapping[str, Any] | None) -> "Wish":
        """For one reset; the next one without options is as the env was made."""
        changes = dict(options or {})
        for key in changes:
            if key not in OPTIONS:
                raise UsageError(f"no option {key!r}; did you mean {nearest(key, OPTIONS)!r}?")
        if isinstance(changes.get("place"), Mapping):
            changes["place"] = Place.parse(changes["place"])
        if "world_seed" in changes:
            changes["world_seed"] = int(changes["world_seed"])
        return replace(self, **changes)


def bag(game: str, rng: np.random.Generator) -> list[str]:
    """What the player carries: the island's kinds of blocks; in Minetest Game a tool, a shovel and
    blocks in slots 1 to 4."""
    if game == "island":
        return [f"{kind} 99" for kind in KINDS]
    return [
        str(rng.choice(["default:axe_steel", "default:axe_steel", "default:pick_steel"])),
        "default:shovel_steel",
        str(rng.choice(["default:dirt 99", "default:wood 99", "default:cobble 99"])),
        str(rng.choice(["default:torch 99", "default:stone 99", "default:stonebrick 99"])),
    ]


def command(wish: Wish, rng: np.random.Generator) -> dict[str, Any]:
    """The server mod's command for a wish; everything undecided is drawn from `rng`."""
    fields: dict[str, Any] = {
        "items": bag(wish.game, rng),
        "seed": int(rng.integers(1, HIGHEST_SEED)),
    }
    if isinstance(wish.place, Place):
        x, y, z = wish.place.position
        # The env mirrors x and yaw, so that Minecraft's formulas hold (see env.py).
        look = {"yaw": -wish.place.yaw, "pitch": wish.place.pitch}
        at = {"x": -x, "z": z} if y is None else {"x": -x, "y": y, "z": z}
        return {**fields, "at": at, **look}
    if wish.game == "island":
        return fields
    biome = str(rng.choice(BIOMES)) if wish.place is None else wish.place
    return {**fields, "biome": biome, "strict": wish.place is not None}
