"""`python -m nfd_gym record --env Crafter-v0`: scripted play as a store of clips, lossless.

| player     | share | what                                                                   |
|------------|-------|------------------------------------------------------------------------|
| `achiever` | 35 %  | goes for the next achievement, a tenth of its actions random           |
| `sloppy`   | 20 %  | the same, three tenths random                                          |
| `wanderer` | 10 %  | out and back: what was left is seen again                              |
| `random`   | 10 %  | any action, evenly                                                     |
| `rich`     | 25 %  | begins with tools and counts beside rare things, at any time of the day|
"""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nfd_gym.games.crafter.env import CrafterEnv
from nfd_gym.games.crafter.players import Achiever, Player, Random, Wanderer
from nfd_gym.games.crafter.readings import view_of
from nfd_gym.games.crafter.spec import COUNTS, DAY, MATERIALS, SPEC
from nfd_gym.games.episodes import Tick, run

LENGTHS = {"achiever": 1000, "sloppy": 800, "wanderer": 500, "random": 400, "rich": 250}
PLACES = ("tree", "stone", "water", "grass")  # every map has them
RARE = ("table", "furnace", "iron", "diamond", "coal", "ripe_plant", "plant", "zombie", "skeleton",
        "cow", "water", "lava", "tree")  # fmt: skip
WANT = 0.25  # chance that there is no food, no drink or no energy: who starves loses health
SLEPT = 45  # frames of one sleep after which every other episode ends: nights are long


class CrafterFootage:
    """Episodes of Crafter; each frame's row holds the view, the counts and the place."""

    spec = SPEC
    stem = "crafter"
    shares: Mapping[str, float] = {
        "achiever": 0.35, "sloppy": 0.20, "wanderer": 0.10, "random": 0.10, "rich": 0.25,
    }  # fmt: skip
    about: Mapping[str, Any] = {"game": "Crafter 1.8, MIT, pictures too"}

    def __init__(self, length: int | None = None) -> None:
        self.env, self.length = CrafterEnv(), length

    def episode(self, player: str, seed: int) -> Iterator[Tick]:
        rng = np.random.default_rng(seed)
        hand, codec = make_player(player, rng), self.spec.codec
        options = rich_start(rng) if player == "rich" else None
        frame, info = self.env.reset(seed=seed, options=options)
        yield Tick(frame, codec.encode(codec.noop()), state=_row(info))
        slept, dead = 0, False
        left = (self.length or LENGTHS[player]) - 1
        whole_nights = rng.random() < 0.5
        while left > 0 and not dead and (slept < SLEPT or whole_nights):
            action = hand.act(info)
            frame, reward, dead, _, info = self.env.step(action)
            yield Tick(frame, codec.encode(action), reward, info["events"], _row(info))
            slept = slept + 1 if info["asleep"] else 0
            left -= 1


def make_player(name: str, rng: np.random.Generator) -> Player:
    if name == "wanderer":
        return Wanderer(rng)
    if name == "random":
        return Random(rng)
    return Achiever(rng, noise={"achiever": 0.1, "sloppy": 0.3, "rich": 0.15}[name])


def rich_start(rng: np.random.Generator) -> dict[str, Any]:
    """Reset options with tools and counts that take a long time to earn, and rare things near."""
    bag: dict[str, int] = {}
    for name in COUNTS:
        if name in ("health", "food", "drink", "energy"):
            wants = name != "health" and rng.random() < WANT
            bag[name] = 0 if wants else int(rng.integers(3, 10))
        elif name.endswith(("pickaxe", "sword")):
            bag[name] = int(rng.random() < 0.5)
        else:
            bag[name] = int(rng.integers(0, 4 if name in ("sapling", "diamond") else 9))
    beside = rng.choice(RARE, size=int(rng.integers(1, 5)), replace=False).tolist()
    # Things first, creatures last: a creature may stand where a table should.
    return {
        "inventory": bag,
        "time": int(rng.integers(DAY)),
        "place": str(rng.choice(PLACES)),
        "beside": sorted(beside, key=lambda name: name not in MATERIALS),
    }


def _row(info: Mapping[str, Any]) -> dict[str, Any]:
    view = view_of(info["semantic"], info["position"])
    return {
        "position": list(info["position"]),
        "facing": list(info["facing"]),
        "counts": [info["inventory"][name] for name in COUNTS],
        "view": view.tolist(),
        "asleep": int(info["asleep"]),
        "clock": info["clock"],
        "daylight": round(info["daylight"], 4),
    }


def main(args: argparse.Namespace) -> int:
    """Called by nfd_gym/data/cli_record.py."""
    return run(CrafterFootage(), args)
