"""Turns the game's log lines into what an env reports, in Minecraft's conventions."""

from typing import Any

from nfd_gym.data.clip import Event
from nfd_gym.envs.tasks import Facts
from nfd_gym.games.luanti.game import PIXEL_DEGREES

PITCH_LIMIT = 89.5


class Tracker:
    """State of one episode: where the player is and looks, what has been dug, placed and jumped.

    The game counts x to the left of z where Minecraft counts it to the right, so x and yaw change
    sign: then forward = (-sin yaw, cos yaw) in (x, z), yaw grows to the right, pitch down.
    """

    def __init__(self, line: dict[str, Any]) -> None:
        self._line = line
        self.yaw, self.pitch = -line["yaw"], line["pitch"]
        self.stats: dict[str, int] = {}
        self.events: list[dict[str, Any]] = []
        self.tick = 0

    def advance(self, line: dict[str, Any], dx: int, dy: int) -> None:
        """Takes in the line of the frame that a tick with these mouse pixels has produced."""
        before, self._line = self._line, line
        # A line's yaw and pitch are those of the frame before it; the mouse has moved since.
        self.yaw = -line["yaw"] + PIXEL_DEGREES * dx
        self.pitch = max(-PITCH_LIMIT, min(PITCH_LIMIT, line["pitch"] + PIXEL_DEGREES * dy))
        self.tick += 1
        self.events = []
        for event in line["events"]:
            place = [-event["x"], event["y"], event["z"]]
            self.events.append({"type": event["type"], "node": event["node"], "pos": place})
            self._count(("mine_block:" if event["type"] == "dig" else "use_item:") + event["node"])
        if before["ground"] and not line["ground"] and line["rise"] > 2:
            self._count("jump")

    def _count(self, name: str) -> None:
        self.stats[name] = self.stats.get(name, 0) + 1

    @property
    def eye(self) -> tuple[float, float, float, float, float]:
        """x, y, z, yaw, pitch of the camera; its yaw goes on from turn to turn like `yaw`."""
        x, y, z, yaw, pitch = self._line["eye"]
        return x, y, z, yaw + 360.0 * round((self.yaw - yaw) / 360.0), pitch

    @property
    def position(self) -> tuple[float, float, float]:
        return -self._line["x"], self._line["y"], self._line["z"]

    def facts(self) -> Facts:
        """What tasks see: the eye, as in the dream, and what happened."""
        events = [Event.from_info(self.tick, event) for event in self.events]
        return Facts(self.eye[:3], events)

    def info(self) -> dict[str, Any]:
        """Fresh objects each time: callers keep them."""
        line = self._line
        return {
            "position": self.position,
            "yaw": self.yaw,
            "pitch": self.pitch,
            "eye": self.eye,
            "biome": line["biome"],
            "light": line["light"],
            "on_ground": line["ground"],
            "in_liquid": line["liquid"],
            "head_in_liquid": line["head"],
            "hotbar": line["slot"],
            "tick": self.tick,
            "events": [dict(event) for event in self.events],
            "stats": dict(self.stats),
            "surroundings": surroundings(line),
        }


def surroundings(line: dict[str, Any]) -> dict[str, Any]:
    """What a player sees at a glance. `kinds` and `distances` are for eight directions, clockwise
    (to the right) from straight ahead: f free, s step up, w wall, l liquid, c cliff."""
    order = [-k % 8 for k in range(8)]  # the game counts to the left
    trunk = line["trunk"]
    return {
        "kinds": "".join(line["kinds"][k] for k in order),
        "distances": [line["distances"][k] for k in order],
        "pointed": line["pointed"],
        "reach": line["reach"],
        "trunk": None if trunk is None else (-trunk[0], trunk[1], trunk[2]),
    }
