"""Crafter's task in a learned world: the game's 22 achievements, reward and end, from pixels."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nfd_gym.envs.tasks import Facts
from nfd_gym.errors import UsageError
from nfd_gym.games.crafter import sprites
from nfd_gym.games.crafter.readings import HudReader, Look, Rules
from nfd_gym.games.crafter.spec import ACHIEVEMENTS, COUNTS
from nfd_gym.games.crafter.tiles import TileReader, looks_in

SURE = 2  # frames in a row that must show no health before the player is dead


@cache
def _readers() -> tuple[HudReader, TileReader]:
    """What all tasks of a process read pictures with: a quarter of a second to make, immutable."""
    return HudReader(sprites.counts()), TileReader(sprites.tiles())


class Crafter:
    """+1 for the first time of each achievement, +-.1 for each point of health, as in the game.

    Counts, tiles, facing and sleep are read from every frame, and Crafter's own rules decide what
    two frames and the action between them achieved. The terms are the counts and the achievements.
    """

    name = "crafter"
    needs_position = False
    needs_frame = True

    def __init__(self) -> None:
        self._hud, self._tiles = _readers()
        self._rules: Rules | None = None
        self._dead = 0

    def reset(self, facts: Facts) -> None:
        """What the first frame shows earns nothing."""
        self._rules, self._dead = Rules(self._look(facts)), 0

    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]:
        if self._rules is None or facts.action is None:
            raise UsageError("the task crafter reads frames and actions; reset the world first.")
        look = self._look(facts)
        reward, dead, _ = self._rules.step(int(facts.action.argmax()), look)
        self._dead = self._dead + 1 if dead else 0
        flags = zip(ACHIEVEMENTS, self._rules.flags, strict=True)
        terms = {name: float(look.count(name)) for name in COUNTS}
        return reward, self._dead >= SURE, terms | {name: float(flag) for name, flag in flags}

    def get_state(self) -> Any:
        rules = self._rules
        if rules is None:
            return None
        look = rules.look
        return {
            "counts": np.asarray(look.counts).tolist(), "view": np.asarray(look.view).tolist(),
            "facing": list(look.facing), "asleep": bool(look.asleep), "wounds": dict(rules.wounds),
            "flags": rules.flags.tolist(), "dead": self._dead,
        }  # fmt: skip

    def set_state(self, state: Any) -> None:
        if state is None:
            self._rules = None
            return
        x, y = state["facing"]
        look = Look(np.array(state["counts"]), np.array(state["view"]), (x, y), state["asleep"])
        rules = Rules(look)
        rules.flags = np.array(state["flags"], bool)
        rules.wounds = {str(kind): int(wounds) for kind, wounds in state["wounds"].items()}
        self._rules, self._dead = rules, int(state["dead"])

    def _look(self, facts: Facts) -> Look:
        frame: NDArray[np.uint8] | None = facts.frame
        if frame is None:
            raise UsageError("the task crafter reads frames; run it in a learned world of Crafter.")
        return looks_in(frame[None], self._hud, self._tiles)[0]
