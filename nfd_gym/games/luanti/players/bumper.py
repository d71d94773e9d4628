"""The bumper: into walls and along them, off ledges, up and down."""

from nfd_gym.games.luanti.players.actor import Actor, Script
from nfd_gym.games.luanti.spec import LANDMARKS

WALLS = ("hut", "tower", "lighthouse", "stones", "cliff", "hut", "cliff")


class Bumper(Actor):
    """Runs against things from every side, presses on, slides along, jumps against them."""

    name = "bumper"

    def scene(self) -> Script:
        draw = self.rng.random()
        if draw < 0.45:
            x, z = LANDMARKS[str(self.rng.choice(WALLS))]
            yield from self.go(x + self.rng.normal(0, 2), z + self.rng.normal(0, 2), 130, near=4.5)
            yield from self.against(self.senses.bearing(x, z))
        elif draw < 0.6 and self.senses.trunk:
            yield from self.against(self.senses.bearing(*self.senses.trunk))
        elif draw < 0.75:
            yield from self.against(self.rng.uniform(-180, 180))
        elif draw < 0.88:
            yield from self.hop()
        else:
            yield from self.off_the_cliff()

    def against(self, turn: float) -> Script:
        """Straight on until it stops, pressing; then sideways and backwards."""
        self.look(turn + self.rng.normal(0, 20), self.rng.uniform(-10, 30))
        yield from self.aimed()
        self.hold()
        for _ in self.ticks(15, 45):
            yield frozenset({"forward", "jump"}) if self.chance(0.05) else frozenset({"forward"})
        for _ in self.ticks(1, 3):
            if self.chance(0.6):
                self.look(self.rng.uniform(-70, 70), self.rng.uniform(-20, 40), 15)
            key = "left" if self.chance(0.5) else "right"
            for _ in self.ticks(6, 25):
                yield frozenset({"forward", key} if self.chance(0.9) else {key})
        if self.chance(0.4):
            self.look(180.0 * self.side(), self.rng.uniform(-5, 15))
            yield from self.aimed(60, frozenset({"back"}))
            yield from self.wait(5, 20, "back")
        self.free()

    def hop(self) -> Script:
        keys = ("jump", "forward") if self.chance(0.7) else ("jump",)
        yield from self.wait(10, 50, *keys)

    def off_the_cliff(self) -> Script:
        """Up the mountain from behind and over the edge."""
        x, z = LANDMARKS["cliff"]
        yield from self.go(x + 16, z + 12, most=200, near=5)
        yield from self.go(x + 6, z + 6, most=90, near=2)
        yield from self.go(x - 6, z - 8, most=90, near=2)
