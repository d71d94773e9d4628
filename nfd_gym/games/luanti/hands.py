"""The island's rules for mouse buttons and hotbar keys: which of the held keys the game gets."""

from collections.abc import Iterable, Mapping
from typing import Any

from nfd_gym.games.luanti.spec import CLICK_TICKS, KINDS

SLOTS = tuple(f"hotbar.{number}" for number in range(1, 10))
BUTTONS = {"dig": "attack", "place": "use"}  # what a button does when it has done something


class Hands:
    """State of one episode: the chosen slot and how long the buttons rest.

    Attack digs the block that is pointed at and use places one on it, as soon as there is one
    within reach and then at most once in CLICK_TICKS while held. A hotbar key chooses at once; of
    several keys held the lowest counts, and those without a block do nothing."""

    def __init__(self) -> None:
        self.slot = 0
        self._rest = dict.fromkeys(BUTTONS.values(), 0)
        self._key: str | None = None  # of the hotbar, held in the last tick

    def filter(self, keys: frozenset[str]) -> frozenset[str]:
        """The keys that the game gets in this tick."""
        key = next((key for key in SLOTS[: len(KINDS)] if key in keys), None)
        if key is not None and key != self._key:
            self.slot = SLOTS.index(key)
        self._key = key
        resting = {button for button, ticks in self._rest.items() if ticks > 0}
        self._rest = {button: max(0, ticks - 1) for button, ticks in self._rest.items()}
        return (keys.difference(SLOTS) | ({key} if key else set())) - resting

    def happened(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Takes in the events of the tick."""
        for event in events:
            self._rest[BUTTONS[event["type"]]] = CLICK_TICKS - 1
