"""The explorer: goes everywhere, looks everywhere."""

import numpy as np

from nfd_gym.games.luanti.players.actor import COAST, NONE, Actor, Script
from nfd_gym.games.luanti.spec import LANDMARKS

DOOR = ((-4.5, 2.5), (-4.5, 6.0), (-4.5, 8.7))  # from the path through the hut's door


class Explorer(Actor):
    """Walks to places, into the hut, round the tower, along the beach; looks about on the way."""

    name = "explorer"

    def scene(self) -> Script:
        draw = self.rng.random()
        if draw < 0.10:
            yield from self.visit_hut()
        elif draw < 0.22:
            yield from self.circle(
                *LANDMARKS[str(self.rng.choice(["tower", "lighthouse", "hut", "pond"]))]
            )
        elif draw < 0.34:
            yield from self.beach()
        elif draw < 0.42 and self.senses.trunk:
            yield from self.tree(*self.senses.trunk)
        elif draw < 0.50:
            yield from self.survey()
        else:
            yield from self.go(*self.anywhere(), most=200, free=self.chance(0.35))
            if self.chance(0.45):
                yield from self.survey()
        if self.chance(0.2):
            yield from self.wait(4, 16)

    def visit_hut(self) -> Script:
        if self.here[1] > 5:  # from behind: round the nearer corner
            yield from self.go(3.5 if self.here[0] > -4.5 else -12.5, 3.0, most=160)
        for x, z in DOOR:
            yield from self.go(x, z, most=140, near=0.5)
            if self.senses.distance(x, z) > 1:
                return
        yield from self.survey()
        for x, z in DOOR[::-1]:
            yield from self.go(x, z, most=60, near=0.5)

    def circle(self, x: float, z: float) -> Script:
        """Round a landmark, often looking at it."""
        radius, start, way = self.rng.uniform(5, 9), self.rng.uniform(0, 2 * np.pi), self.side()
        looking = self.chance(0.5)
        for step in range(int(self.rng.integers(4, 9))):
            angle = start + way * step * np.pi / 4
            goal = (x + radius * np.cos(angle), z + radius * np.sin(angle))
            yield from self.go(*goal, most=120 if step == 0 else 45)
            if looking:
                yield from self.face(x, z, self.rng.uniform(-35, 5))
                yield from self.wait(2, 8)

    def beach(self) -> Script:
        x, z = self.here
        angle, way = float(np.arctan2(z, x)), self.side()
        for step in range(int(self.rng.integers(2, 6))):
            at, far = angle + way * 0.22 * step, COAST + self.rng.normal(0, 1.5)
            yield from self.go(far * np.cos(at), far * np.sin(at), 110, free=self.chance(0.3))
        yield from self.survey()

    def tree(self, x: float, z: float) -> Script:
        """Up to a trunk, looks up into the leaves, round it."""
        yield from self.go(x, z, most=60, near=1.2)
        self.look(self.rng.uniform(-30, 30), self.rng.uniform(-60, -25))
        yield from self.aimed()
        for _ in self.ticks(6, 30):
            yield frozenset({"left"}) if self.chance(0.7) else NONE
        self.look(None, self.rng.uniform(0, 50))
        yield from self.aimed()
