"""The island's rules for mouse buttons and hotbar keys: which of the held keys the game gets."""

from collections.abc import Iterable, Mapping
from typing import Any

from nfd_gym.games.luanti.spec import CLICK_TICKS, KINDS

SLOTS = tuple(f"hotbar.{number}" for number in range(1, 10))


class Hands:
    """State of one episode: the chosen slot and how long the buttons rest.

    Attack digs the block that is pointed at, at most one in CLICK_TICKS; with nothing in reach it
    stays down. Use tries at once and every CLICK_TICKS while held, and is up in between, as the
    game reacts to a press. A hotbar key chooses at once; of several keys held the
    lowest counts, and those without a block do nothing."""

    def __init__(self) -> None:
        self.slot = 0
        self._wait = {"attack": 0, "use": 0}
        self._key: str | None = None  # of the hotbar, held in the last tick

    def filter(self, keys: frozenset[str]) -> frozenset[str]:
        """The keys that the game gets in this tick."""
        key = next((key for key in SLOTS[: len(KINDS)] if key in keys), None)
        if key is not None and key != self._key:
            self.slot = SLOTS.index(key)
        self._key = key
        given = keys.difference(SLOTS) | ({key} if key else set())
        up = {button for button, ticks in self._wait.items() if ticks > 0}
        self._wait = {button: max(0, ticks - 1) for button, ticks in self._wait.items()}
        if "use" in given - up:
            self._wait["use"] = CLICK_TICKS - 1
        return given - up

    def happened(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Takes in the events of the tick."""
        if any(event["type"] == "dig" for event in events):
            self._wait["attack"] = CLICK_TICKS - 1
