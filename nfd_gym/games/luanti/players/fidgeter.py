"""The fidgeter: any keys in any order, as agents press them before they have learned anything."""

from nfd_gym.games.luanti.players.actor import EIGHTHS, NONE, Actor, Script

BESIDE = {"jump": 0.2, "sprint": 0.1, "sneak": 0.07, "attack": 0.07, "use": 0.03}  # chances


class Fidgeter(Actor):
    """Changes its keys every few ticks: starts, stops, turns back, strafes, jumps anywhere."""

    name = "fidgeter"

    def scene(self) -> Script:
        if self.chance(0.5):
            turn, pitch = self.rng.uniform(-120, 120), self.rng.uniform(-30, 40)
            self.look(turn, pitch, int(self.rng.integers(4, 25)))
        elif self.chance(0.5):
            self.hold()
        for _ in self.ticks(2, 6):
            way = EIGHTHS[int(self.rng.integers(len(EIGHTHS)))] if self.chance(0.8) else NONE
            beside = {key for key, chance in BESIDE.items() if self.chance(chance)}
            for _ in self.ticks(1, 12):
                yield frozenset(way) | beside
