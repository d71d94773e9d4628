"""The returner: leaves a view, in angle or on foot, and comes back to it."""

import numpy as np

from nfd_gym.games.luanti.players.actor import Actor, Script


class Returner(Actor):
    """Turns by 45 to 360 degrees and back, walks A-B-A and round loops, some after an edit."""

    name = "returner"

    def scene(self) -> Script:
        self.look(None, self.rng.uniform(-10, 25))
        yield from self.aimed(20)
        if self.chance(0.6):
            yield from self.edit()
        draw = self.rng.random()
        if draw < 0.55:
            yield from self.turn()
        elif draw < 0.85:
            yield from self.there_and_back()
        else:
            yield from self.loop()
        if self.chance(0.5):
            yield from self.go(*self.anywhere(), most=60)

    def edit(self) -> Script:
        yield from self.wait(1, 2, f"hotbar.{int(self.rng.integers(1, 4))}")
        self.look(None, self.rng.uniform(25, 45))
        yield from self.aimed(20)
        self.look(self.side() * self.rng.uniform(10, 60), None, 15)
        yield from self.aimed(30, frozenset({"attack" if self.chance(0.5) else "use"}))
        self.hold()
        yield from self.wait(1, 4)

    def turn(self) -> Script:
        yaw, pitch = self.senses.yaw, self.senses.pitch
        self.look(self.turn_away(), self.rng.uniform(-25, 30))
        yield from self.aimed(140)
        self.hold()
        yield from self.wait(0, 30)
        self.look(yaw - self.senses.yaw, pitch)
        yield from self.aimed(140)
        self.hold()
        yield from self.wait(3, 20)

    def there_and_back(self) -> Script:
        """A to B with open eyes, and backwards or turned round to A."""
        (x, z), yaw, pitch = self.here, self.senses.yaw, self.senses.pitch
        far = float(self.rng.choice([5, 15, 40])) * self.rng.uniform(0.7, 1.2)
        if far < 9 and self.chance(0.6):
            self.hold()
            yield from self.wait(int(5 * far), int(5 * far), "forward")
            yield from self.wait(int(5 * far), int(5 * far), "back")
        else:
            angle = self.rng.uniform(0, 2 * np.pi)
            yield from self.go(x + far * np.cos(angle), z + far * np.sin(angle), int(8 * far))
            yield from self.go(x, z, most=int(10 * far), near=0.7)
        self.look(yaw - self.senses.yaw, pitch, 27)
        yield from self.aimed(100)
        self.hold()
        yield from self.wait(4, 20)

    def loop(self) -> Script:
        """A triangle back to where it began."""
        (x, z), yaw, pitch = self.here, self.senses.yaw, self.senses.pitch
        side, angle = self.rng.uniform(5, 12), self.rng.uniform(0, 2 * np.pi)
        for corner in range(2):
            at = angle + corner * np.pi / 3
            yield from self.go(x + side * np.cos(at), z + side * np.sin(at), 90)
        yield from self.go(x, z, most=120, near=0.7)
        self.look(yaw - self.senses.yaw, pitch, 27)
        yield from self.aimed(100)
        self.hold()
        yield from self.wait(4, 16)
