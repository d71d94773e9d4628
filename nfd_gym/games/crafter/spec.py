"""Crafter as plain data: actions, tiles, counts, achievements, recipes and probes.

The rules are Crafter 1.8's; a test compares them with the installed package.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from nfd_gym.actions import Discrete
from nfd_gym.games.spec import GameSpec

TILE = 16  # pixels: the sprites' own size
VIEW = (9, 7)  # tiles of the map in view, (x, y); two rows of counts below
HUD = (9, 2)  # tiles of the counts
AREA = (64, 64)  # tiles of the whole map
DAY = 300  # steps

ACTIONS = (
    "noop", "move_left", "move_right", "move_up", "move_down", "do", "sleep",
    "place_stone", "place_table", "place_furnace", "place_plant",
    "make_wood_pickaxe", "make_stone_pickaxe", "make_iron_pickaxe",
    "make_wood_sword", "make_stone_sword", "make_iron_sword",
)  # fmt: skip
MOVES = {"move_left": (-1, 0), "move_right": (1, 0), "move_up": (0, -1), "move_down": (0, 1)}

# Semantic map: a tile's number is its place in this list. 0 is off the map; ripe plants, which
# Crafter's own map does not tell from young ones, come last.
TILES = (
    "none", "water", "grass", "stone", "path", "sand", "tree", "lava", "coal", "iron", "diamond",
    "table", "furnace", "player", "cow", "zombie", "skeleton", "arrow", "plant", "ripe_plant",
)  # fmt: skip
NUMBER = {name: number for number, name in enumerate(TILES)}
MATERIALS = TILES[1:13]
HEALTH = {"cow": 3, "zombie": 5, "skeleton": 3}  # of the creatures
SWORDS = {"": 1, "wood_sword": 2, "stone_sword": 3, "iron_sword": 5}  # damage of a blow
WALKABLE = ("grass", "path", "sand")

COUNTS = (
    "health", "food", "drink", "energy", "sapling", "wood", "stone", "coal", "iron", "diamond",
    "wood_pickaxe", "stone_pickaxe", "iron_pickaxe", "wood_sword", "stone_sword", "iron_sword",
)  # fmt: skip
INITIAL = {"health": 9, "food": 9, "drink": 9, "energy": 9}
MOST = 9  # of anything

ACHIEVEMENTS = (
    "collect_coal", "collect_diamond", "collect_drink", "collect_iron", "collect_sapling",
    "collect_stone", "collect_wood", "defeat_skeleton", "defeat_zombie", "eat_cow", "eat_plant",
    "make_iron_pickaxe", "make_iron_sword", "make_stone_pickaxe", "make_stone_sword",
    "make_wood_pickaxe", "make_wood_sword", "place_furnace", "place_plant", "place_stone",
    "place_table", "wake_up",
)  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """What one use of an action needs: counts that are used up (placing, making) or only looked at
    (collecting), tiles in the 3x3 neighbourhood, tiles that may be faced."""

    uses: Mapping[str, int] = field(default_factory=dict)
    nearby: tuple[str, ...] = ()
    where: tuple[str, ...] = ()


GROUND = ("grass", "sand", "path")
# Thing collected -> the tile it is collected from and the tool that must be owned.
COLLECT = {
    "wood": Rule(where=("tree",)),
    "stone": Rule({"wood_pickaxe": 1}, where=("stone",)),
    "coal": Rule({"wood_pickaxe": 1}, where=("coal",)),
    "iron": Rule({"stone_pickaxe": 1}, where=("iron",)),
    "diamond": Rule({"iron_pickaxe": 1}, where=("diamond",)),
    "drink": Rule(where=("water",)),
    "sapling": Rule(where=("grass",)),
}
SAPLING = 0.1  # the chance that grass gives one; everything else is certain
PLACE = {
    "stone": Rule({"stone": 1}, where=(*GROUND, "water", "lava")),
    "table": Rule({"wood": 2}, where=GROUND),
    "furnace": Rule({"stone": 4}, where=GROUND),
    "plant": Rule({"sapling": 1}, where=("grass",)),
}
MAKE = {
    "wood_pickaxe": Rule({"wood": 1}, nearby=("table",)),
    "stone_pickaxe": Rule({"wood": 1, "stone": 1}, nearby=("table",)),
    "iron_pickaxe": Rule({"wood": 1, "coal": 1, "iron": 1}, nearby=("table", "furnace")),
    "wood_sword": Rule({"wood": 1}, nearby=("table",)),
    "stone_sword": Rule({"wood": 1, "stone": 1}, nearby=("table",)),
    "iron_sword": Rule({"wood": 1, "coal": 1, "iron": 1}, nearby=("table", "furnace")),
}

# What the viewer's bindings do; the inventory key makes the last thing that has no digit.
KEYS = {
    **{key: ACTIONS.index(f"move_{way}") for key, way in (
        ("left", "left"), ("right", "right"), ("forward", "up"), ("back", "down"),
        ("look left", "left"), ("look right", "right"), ("look up", "up"), ("look down", "down"),
    )},
    "jump": ACTIONS.index("do"), "attack": ACTIONS.index("do"), "sneak": ACTIONS.index("sleep"),
    **{f"hotbar.{i}": ACTIONS.index("place_stone") + i - 1 for i in range(1, 10)},
    "inventory": ACTIONS.index("make_iron_sword"),
}  # fmt: skip

SPEC = GameSpec(
    id="Crafter-v0",
    codec=Discrete(len(ACTIONS), rest=0),
    fps=10.0,
    size=(TILE * VIEW[0], TILE * (VIEW[1] + HUD[1])),
    tasks=("crafter",),
    events=("collect", "place", "make", "eat", "defeat", "wake", "hurt"),
    probes={
        "tiles": {"tile": TILE, "view": list(VIEW), "hud": list(HUD)},
        "chance": {"cow_moves": 0.43, "zombie_nearer": 0.67, "sapling": SAPLING},
        "return": {"steps": [10, 30, 60]},
        "free_run": {"steps": [16, 64, 256]},
    },
    keys=KEYS,
)
