"""The builder: digs and places much of the time, goes away and comes back to look."""

from nfd_gym.games.luanti.players.actor import NONE, Actor, Keys, Script

ATTACK: Keys = frozenset({"attack"})
USE: Keys = frozenset({"use"})
CHANCES = (0.22, 0.16, 0.11, 0.19, 0.16, 0.07, 0.04, 0.05)  # of the jobs, as listed in `scene`


class Builder(Actor):
    """Walls, towers, stairs, pits, tunnels and felled trees."""

    name = "builder"

    def scene(self) -> Script:
        begin = self.here
        yield from self.level_ground()
        jobs = (
            self.wall, self.pillar, self.fan, self.trail,
            self.pit, self.tunnel, self.fell, self.steps,
        )  # fmt: skip
        for _ in self.ticks(3, 6):
            if self.chance(0.6):
                yield from self.choose()
            yield from jobs[int(self.rng.choice(8, p=CHANCES))]()
        draw = self.rng.random()
        if draw < 0.3:
            yield from self.away_and_back()
        elif draw < 0.7:
            yield from self.turn_and_back()
        elif draw < 0.8:
            yield from self.survey()
        if self.chance(0.5) or self.senses.distance(*begin) < 3:
            x, z = self.here
            goal = (x + self.rng.normal(0, 7), z + self.rng.normal(0, 7))
            yield from self.go(*(self.anywhere() if self.chance(0.2) else goal), most=50)

    def level_ground(self) -> Script:
        """Out of a hole or from between the own walls: upwards, two blocks high."""
        for _ in range(4):
            if self.senses.walls < 5:
                return
            self.look(self.rng.uniform(-60, 60), None, 33)
            for pitch in (25.0, -5.0, -30.0):
                self.look(0.0, pitch, 40)
                yield from self.aimed(12, ATTACK)
                self.hold()
                for _ in self.ticks(5, 7):
                    yield frozenset({"attack", "forward", "jump"})

    def choose(self) -> Script:
        key = f"hotbar.{int(self.rng.integers(1, 4))}"
        for _ in self.ticks(1, 3):
            yield frozenset({key})

    def aim_down(self, low: float, high: float) -> Script:
        self.look(self.rng.uniform(-40, 40), self.rng.uniform(low, high))
        yield from self.aimed()
        self.hold()

    def wall(self) -> Script:
        """Sideways with the use button held: a block a step, in one or two layers."""
        key = "left" if self.chance(0.5) else "right"
        for layer in self.ticks(1, 3):
            yield from self.aim_down(28, 44) if layer == 0 else self.aim_down(8, 26)
            for _ in self.ticks(20, 55):
                yield USE | {key} if self.chance(0.9) else USE
            key = "right" if key == "left" else "left"

    def pillar(self) -> Script:
        """Straight down and up: jumps and puts a block under the own feet."""
        self.look(self.rng.uniform(-40, 40), 79.0, 33)
        yield from self.aimed()
        self.hold()
        for _ in self.ticks(24, 70):
            yield frozenset({"use", "jump"})
        if self.chance(0.6):
            yield from self.survey()
        if self.chance(0.5):
            self.look(None, 79.0, 33)
            yield from self.aimed()
            self.hold()
            yield from self.wait(8, 24, "attack")

    def fan(self, button: str = "use", low: float = 24, high: float = 48) -> Script:
        """Blocks all round: the button is held while the view pans."""
        way = self.side()
        for _ in self.ticks(1, 3):
            self.look(self.rng.uniform(-30, 30), self.rng.uniform(low, high), 33)
            yield from self.aimed(30)
            self.look(way * self.rng.uniform(60, 200), None, int(self.rng.choice((15, 20, 27, 33))))
            yield from self.aimed(70, frozenset({button}))
            way = -way
        self.hold()
        yield from self.wait(0, 6, "back")
        if button == "use" and self.chance(0.4):
            yield from self.fan("attack", -5, 40)

    def trail(self) -> Script:
        """Backwards with the use button held: a row of blocks, now and then of another kind."""
        yield from self.aim_down(36, 52)
        for _ in self.ticks(1, 3):
            yield from self.choose()
            self.look(self.rng.uniform(-25, 25), None, 10)
            yield from self.wait(12, 26, "use", "back")
        self.hold()

    def pit(self) -> Script:
        """Digs the ground all round."""
        yield from self.fan("attack", 30, 68)

    def tunnel(self) -> Script:
        """Into the hillside: up, down and on."""
        self.look(self.home() + self.rng.uniform(-60, 60), 8.0)
        yield from self.aimed()
        slope = self.rng.uniform(0, 14)
        for _ in self.ticks(2, 5):
            for pitch in (slope - 8, slope + 38):
                self.look(self.rng.normal(0, 3), pitch, 33)
                yield from self.aimed(12, ATTACK)
                self.hold()
                for _ in self.ticks(5, 7):
                    yield ATTACK | {"forward"}

    def fell(self) -> Script:
        """Takes a trunk away from below and then the leaves."""
        trunk = self.senses.trunk
        if trunk is None:
            yield from self.pit()
            return
        yield from self.go(*trunk, most=50, near=2.0)
        yield from self.face(*trunk, 20.0)
        for pitch in (20.0, 0.0, -20.0, -35.0, -50.0, -60.0):
            self.look(self.rng.normal(0, 2), pitch, 20)
            yield from self.aimed(20, ATTACK)
            self.hold()
            for _ in self.ticks(5, 11):
                yield ATTACK

    def steps(self) -> Script:
        """Stairs before the feet, climbed as they grow."""
        for _ in self.ticks(2, 5):
            yield from self.aim_down(38, 46)
            for _ in self.ticks(4, 8):
                yield USE
            for _ in self.ticks(4, 9):
                yield frozenset({"forward", "jump"})

    def away_and_back(self) -> Script:
        x, z = self.here
        mark = self.senses.yaw
        far = self.rng.uniform(5, 15)
        angle = self.rng.uniform(0, 6.28)
        goal = (
            (x + far * self.rng.normal(), z + far * self.rng.normal())
            if angle > 3
            else self.anywhere()
        )
        yield from self.go(*goal, most=int(far * 6), free=self.chance(0.3))
        yield from self.go(x, z, most=110)
        self.look(mark - self.senses.yaw, self.rng.uniform(5, 40), 27)
        yield from self.aimed(80)
        self.hold()
        yield from self.wait(4, 20)

    def turn_and_back(self) -> Script:
        yaw, pitch = self.senses.yaw, self.senses.pitch
        turn = self.turn_away()
        self.look(turn, self.rng.uniform(-20, 30))
        yield from self.aimed(120)
        self.hold()
        yield from self.wait(2, 20)
        back = yaw if self.chance(0.7) else yaw + 360.0 * (1 if turn > 0 else -1)
        self.look(back - self.senses.yaw, pitch)
        yield from self.aimed(120)
        self.hold()
        for _ in self.ticks(3, 16):
            yield NONE
