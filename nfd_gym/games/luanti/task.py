"""The island's own tasks: walk to a landmark, and climb a pillar of one's own blocks.

Both see facts alone, the same in the game and in the dream; see `nfd_gym.envs.tasks`.
"""

import math
from typing import Any, ClassVar

from nfd_gym.envs.tasks import Facts
from nfd_gym.errors import UsageError
from nfd_gym.games.luanti.spec import EYE_HEIGHT, LANDMARKS

ARRIVED = 8.0  # metres from a landmark's middle at which its task ends
BONUS = 10.0  # reward for arriving
FOOTING = 0.3  # metres that the feet may be off the top of the block that they stand on

Cell = tuple[int, int, int]


class Goto:
    """Reward for metres nearer to a landmark than ever before, and `BONUS` for arriving."""

    name = "goto"
    landmark: ClassVar[str]
    needs_position = True

    def __init__(self) -> None:
        self._nearest = 0.0

    def reset(self, facts: Facts) -> None:
        self._nearest = self._left(facts)

    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]:
        left = self._left(facts)
        nearer = max(0.0, self._nearest - left)
        self._nearest -= nearer
        arrived = left <= ARRIVED
        terms = {"metres_left": left, "arrived": float(arrived)}
        return nearer + BONUS * arrived, arrived, terms

    def get_state(self) -> Any:
        return self._nearest

    def set_state(self, state: Any) -> None:
        self._nearest = float(state)

    def _left(self, facts: Facts) -> float:
        x, _, z = _place(facts, self.name)
        return math.dist((x, z), LANDMARKS[self.landmark])


class GotoTower(Goto):
    """`Goto` the tower on the hill in the east, which is seen from almost everywhere."""

    name, landmark = "goto-tower", "tower"


class GotoLighthouse(Goto):
    """`Goto` the striped lighthouse in the west."""

    name, landmark = "goto-lighthouse", "lighthouse"


class GotoHut(Goto):
    """`Goto` the hut on the meadow, which one must look for."""

    name, landmark = "goto-hut", "hut"


class Pillar:
    """Reward 1 for every block more, of one's own and one on the other, that one stands upon."""

    name = "tower"
    needs_position = True
    needs_events = True

    def __init__(self) -> None:
        self._own: set[Cell] = set()
        self._highest = 0

    def reset(self, facts: Facts) -> None:
        self._own, self._highest = set(), 0

    def step(self, facts: Facts) -> tuple[float, bool, dict[str, float]]:
        for event in facts.events:
            if event.pos is not None:
                change = self._own.add if event.kind == "place" else self._own.discard
                change(_cell(event.pos))
        higher = max(0, self._height(facts) - self._highest)
        self._highest += higher
        return float(higher), False, {"blocks": float(self._highest)}

    def get_state(self) -> Any:
        return [sorted(self._own), self._highest]

    def set_state(self, state: Any) -> None:
        own, highest = state
        self._own, self._highest = {_cell(cell) for cell in own}, int(highest)

    def _height(self, facts: Facts) -> int:
        """How many own blocks lie under the feet, one on the other; 0 in the air."""
        x, y, z = _place(facts, self.name)
        feet = y - EYE_HEIGHT
        top = _cell((x, feet - 0.5, z))
        if abs(top[1] + 0.5 - feet) > FOOTING:
            return 0
        height = 0
        while (top[0], top[1] - height, top[2]) in self._own:
            height += 1
        return height


def _place(facts: Facts, task: str) -> tuple[float, float, float]:
    if facts.position is None:
        raise UsageError(f"the task {task} needs positions, and this world reports none.")
    return facts.position


def _cell(place: tuple[float, float, float]) -> Cell:
    """The cube of a metre around whole numbers in which a place lies."""
    x, y, z = (math.floor(value + 0.5) for value in place)
    return x, y, z
