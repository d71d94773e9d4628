"""A scripted player: human-like, persistent, balanced actions; deterministic given its seed.

Two layers run side by side. An *activity* (walk, dig, look, ...) yields the keys held in each tick,
the *gaze* yields the mouse; an activity may take the mouse over to aim. The player knows only what
`info` tells everybody, and plays on without it (in a dream), blind.

    player = Player(seed=0)
    observation, info = env.reset(seed=0)
    action = player.act(info)          # a MineRL dict: keys and camera degrees
"""

from collections.abc import Generator, Iterator, Mapping
from typing import Any

import numpy as np

from nfd_gym.games.luanti.gaze import PIXEL_DEGREES, Gaze, Pixels
from nfd_gym.games.luanti.senses import AHEAD, BACK, LEFT, RIGHT, Senses, wrap
from nfd_gym.keyboard import KEYS

Keys = frozenset[str]
NONE: Keys = frozenset()
FORWARD: Keys = frozenset({"forward"})

# name -> (share of the time, mean ticks)
ACTIVITIES = {
    "walk": (0.44, 50), "strafe": (0.06, 16), "back": (0.055, 14), "look": (0.09, 38),
    "rest": (0.065, 24), "dig": (0.21, 75), "place": (0.11, 36), "hop": (0.02, 16),
    "sneak": (0.03, 26),
}  # fmt: skip
SELDOM_TWICE = ("rest", "look", "hop", "sneak", "back", "place")
NOT_ABOVE, NOT_BELOW = -60.0, 75.0  # the pitch is kept within, degrees


class Player:
    """`build=False` never digs, places or changes the tool."""

    def __init__(self, seed: int, build: bool = True) -> None:
        self._rng = np.random.default_rng(seed)
        self._build = build
        self._gaze = Gaze(self._rng)
        self._senses = Senses()
        self._mouse = self._gaze.wandering(self)
        self._activity: Iterator[Keys] = iter(())
        self._name = "rest"
        self._aim: tuple[float | None, float | None] | None = None  # yaw, pitch to turn to
        self._aim_speed = 20
        self._still = False
        self._slot = 0
        self._side = 1  # the way it prefers to turn
        self._bumps = 0
        self._turned = (0.0, 0.0)

    def act(self, info: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The next action as a MineRL dict (also what `Luanti-v0` and `NFD-*` take with
        action_space="minerl"). `info` is that of the last reset or step; None plays blind."""
        keys, (dx, dy) = self._tick(info)
        turn = np.array([dy, dx], np.float32) * np.float32(PIXEL_DEGREES)
        return {**{key: int(key in keys) for key in KEYS}, "camera": turn}

    def _tick(self, info: Mapping[str, Any] | None) -> tuple[Keys, Pixels]:
        senses = self._senses
        senses.update(info, self._turned)
        if senses.in_liquid and self._name != "swim":
            self._start("swim")
        keys = next(self._activity, None)
        while keys is None:
            self._start()
            keys = next(self._activity, None)
        dx, dy = self._move_mouse()
        if not NOT_ABOVE <= senses.pitch + dy * PIXEL_DEGREES <= NOT_BELOW:
            dy = 0
        self._turned = (dx * PIXEL_DEGREES, dy * PIXEL_DEGREES)
        return keys, (dx, dy)

    # ---- what the gaze asks -----------------------------------------------------------------

    @property
    def pitch(self) -> float:
        return self._senses.pitch

    @property
    def standing(self) -> bool:
        return self._name in ("look", "hop")

    # ---- choosing ---------------------------------------------------------------------------

    def _start(self, name: str | None = None) -> None:
        """Begins an activity; without a name, one drawn so that each gets its share of the time."""
        before = self._name
        self._free()
        if name is None:
            names = [key for key in ACTIVITIES if self._build or key not in ("dig", "place")]
            weights = np.array([ACTIVITIES[key][0] / ACTIVITIES[key][1] for key in names])
            for index, key in enumerate(names):
                if key == before and key in SELDOM_TWICE:
                    weights[index] *= 0.2
            name = str(self._rng.choice(names, p=weights / weights.sum()))
            if before == "dig" and name != "rest" and self._rng.random() < 0.85:
                name = "walk"  # out of the pit
        self._name = name
        self._activity = getattr(self, f"_{name}")()

    def _ticks(self, low: int, high: int) -> range:
        return range(int(self._rng.integers(low, high + 1)))

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    # ---- mouse ------------------------------------------------------------------------------

    def _move_mouse(self) -> Pixels:
        if self._aim is not None:
            return self._towards_aim()
        return (0, 0) if self._still else next(self._mouse)

    def _free(self) -> None:
        """Gives the mouse back to the gaze."""
        self._aim, self._still = None, False

    def _hold(self) -> None:
        self._aim, self._still = None, True

    def _look_at(
        self, turn: float | None = None, pitch: float | None = None, speed: int | None = None
    ) -> None:
        """Takes the mouse: turns right by `turn` degrees and to the absolute `pitch`, steadily."""
        self._aim = (None if turn is None else self._senses.yaw + turn, pitch)
        self._aim_speed = speed or int(self._rng.choice((10, 15, 20, 27, 33, 40)))

    def _towards_aim(self) -> Pixels:
        assert self._aim is not None
        yaw, pitch = self._aim
        right = 0.0 if yaw is None else wrap(yaw - self._senses.yaw)
        down = 0.0 if pitch is None else pitch - self._senses.pitch

        def clip(degrees: float) -> int:
            pixels = degrees / PIXEL_DEGREES
            near = abs(pixels) < 4
            return 0 if near else int(np.clip(pixels, -self._aim_speed, self._aim_speed))

        return clip(right), clip(down)

    @property
    def _aimed(self) -> bool:
        return self._aim is not None and self._towards_aim() == (0, 0)

    def _until_aimed(self, most: int = 40, keys: Keys = NONE) -> Iterator[Keys]:
        for _ in range(most):
            if self._aimed:
                return
            yield keys

    # ---- activities -------------------------------------------------------------------------

    def _rest(self) -> Iterator[Keys]:
        self._hold()
        for _ in self._ticks(10, 40):
            yield NONE

    def _look(self) -> Iterator[Keys]:
        for _ in self._ticks(15, 60):
            yield NONE

    def _hop(self) -> Iterator[Keys]:
        forward = self._chance(0.4) and not self._senses.hazard()
        for _ in self._ticks(8, 26):
            yield frozenset({"jump", "forward"}) if forward else frozenset({"jump"})

    def _strafe(self) -> Iterator[Keys]:
        key, direction = ("left", LEFT) if self._chance(0.5) else ("right", RIGHT)
        for _ in self._ticks(6, 26):
            if self._senses.hazard(direction, 1):
                return
            yield frozenset({key})

    def _back(self) -> Iterator[Keys]:
        keys = {"back"}
        if self._chance(0.2):
            keys.add("left" if self._chance(0.5) else "right")
        for _ in self._ticks(6, 24):
            if self._senses.hazard(BACK):
                return
            yield frozenset(keys)

    def _sneak(self) -> Iterator[Keys]:
        forward = self._chance(0.6)
        for _ in self._ticks(14, 40):
            moving = forward and not self._senses.hazard()
            yield frozenset({"sneak", "forward"}) if moving else frozenset({"sneak"})

    def _swim(self) -> Iterator[Keys]:
        """Back to the last dry place."""
        dry = self._senses.dry
        goal = dry[max(0, len(dry) - 25)] if dry else None
        for _ in range(120):
            if not self._senses.in_liquid and self._senses.on_ground:
                return
            if goal:
                self._look_at(self._senses.bearing(*goal), 0.0, 27)
            yield frozenset({"forward", "jump"})

    def _switch(self, slot: int, keys: Keys = NONE) -> Iterator[Keys]:
        """Presses a hotbar key for one to three ticks, slots counted from 1."""
        if slot != self._slot + 1:
            self._slot = slot - 1
            for _ in self._ticks(1, 3):
                yield keys | {f"hotbar.{slot}"}

    def _walk(self) -> Iterator[Keys]:
        """Forward, with now and then a strafe, a jump, a swing; turns away from obstacles."""
        if self._build and self._chance(0.07):
            yield from self._switch(int(self._rng.integers(1, 5)), FORWARD)
        strafe, strafe_left, jump_left, swing_left = "left", 0, 0, 0
        for tick in self._ticks(15, 85):
            senses = self._senses
            if tick % 8 == 0 and strafe_left <= 0 and self._chance(0.13):
                strafe = "left" if self._chance(0.5) else "right"
                strafe_left = len(self._ticks(6, 26))
            if jump_left <= 0 and senses.on_ground:
                if senses.step_ahead(2) and not senses.hazard():
                    jump_left = len(self._ticks(3, 6))
                elif self._chance(0.006):
                    jump_left = len(self._ticks(3, 14))
            if self._build and swing_left <= 0 and self._chance(0.003):
                swing_left = len(self._ticks(3, 14))
            swing: Keys = frozenset({"attack"}) if swing_left > 0 else NONE
            if kind := senses.hazard():
                push = FORWARD if kind == "w" and self._chance(0.4) else NONE
                yield from self._turn_away(push | swing)
            elif tick > 16 and senses.stuck:
                self._bumps += 1
                senses.trail.clear()
                if self._bumps % 2:
                    jump_left = 12
                else:
                    yield from self._turn_away(swing)
            keys = {"forward", *swing}
            if strafe_left > 0 and not senses.hazard(LEFT if strafe == "left" else RIGHT, 1):
                keys.add(strafe)
            if jump_left > 0:
                keys.add("jump")
            strafe_left, jump_left, swing_left = strafe_left - 1, jump_left - 1, swing_left - 1
            yield frozenset(keys)

    def _turn_away(self, keys: Keys) -> Iterator[Keys]:
        """Turns to the freer side until the way is free, at most three times."""
        self._side = self._senses.freer_side(self._side)
        for _ in range(3):
            turn = self._side * self._rng.uniform(50, 110)
            self._look_at(turn, self._gaze.home, int(self._rng.choice((20, 27, 33, 40, 50))))
            yield from self._until_aimed(len(self._ticks(12, 30)), keys)
            if not self._senses.hazard():
                break
        self._free()

    def _dig(self) -> Iterator[Keys]:
        """A trunk nearby, or the ground a few blocks ahead."""
        trunk, rng = self._senses.trunk, self._rng
        if trunk and self._chance(0.75):
            yield from self._approach(trunk)
            yield from self._switch(1)
            blocks, walk_on = self._ticks(2, 4), False
        elif "snow" in self._senses.biome or "taiga" in self._senses.biome:
            return  # a layer of snow makes every pit a trap
        else:
            self._look_at(None, rng.uniform(30, 54))
            walking = self._chance(0.5) and not self._senses.hazard()
            yield from self._until_aimed(keys=FORWARD if walking else NONE)
            yield from self._switch(2)
            blocks, walk_on = self._ticks(2, 3), self._chance(0.6)
        for _ in blocks:
            if not (yield from self._break_one()):
                break
            yield from self._aim_at_next(walk_on)
        if self._chance(0.9):
            self._look_at(None, self._gaze.home, int(rng.choice((10, 15, 20, 27))))
            yield from self._until_aimed(25)

    def _approach(self, goal: tuple[float, float]) -> Iterator[Keys]:
        pitch, senses = self._rng.uniform(-5, 12), self._senses
        self._look_at(senses.bearing(*goal), pitch)
        yield from self._until_aimed()
        for _ in range(40):
            if senses.blind or senses.distance(*goal) < 1.9:
                return
            if senses.hazard(AHEAD, 1) in ("l", "c"):
                return
            self._look_at(senses.bearing(*goal), pitch, self._aim_speed)
            yield FORWARD | {"jump"} if senses.step_ahead(1) else FORWARD

    def _break_one(self) -> Generator[Keys, None, bool]:
        """Holds attack until the pointed block breaks, at most about 2 s. Returns whether there was
        one; a blind player has to believe so."""
        senses = self._senses
        if not senses.blind and not senses.pointed[0]:
            self._look_at(None, min(60.0, senses.pitch + self._rng.uniform(8, 20)))
            yield from self._until_aimed(12)
            if not senses.pointed[0]:
                return False
        self._hold()
        seen, after = senses.pointed[0], len(self._ticks(1, 10))
        for tick in self._ticks(26, 42):
            if tick > 5 and seen and senses.pointed[0] != seen:
                after -= 1
            if after <= 0:
                break
            yield frozenset({"attack"})
        return True

    def _aim_at_next(self, walk_on: bool) -> Iterator[Keys]:
        rng, senses = self._rng, self._senses
        pitch = float(np.clip(senses.pitch + rng.normal(0, 9), -35, 60))
        self._look_at(rng.normal(0, 9), pitch, int(rng.choice((7, 10, 15))))
        keys: Keys = frozenset({"attack"}) if self._chance(0.5) else NONE
        for _ in self._ticks(2, 7):
            yield keys
        if walk_on and not senses.hazard(AHEAD, 1):
            for _ in self._ticks(3, 10):
                yield keys | FORWARD

    def _place(self) -> Iterator[Keys]:
        rng, senses = self._rng, self._senses
        self._look_at(rng.uniform(-30, 30), rng.uniform(22, 36))
        yield from self._until_aimed()
        yield from self._switch(int(rng.choice((3, 3, 4))))
        self._hold()
        for _ in self._ticks(1, 4):
            node, reach = senses.pointed
            if not senses.blind and (not node or reach < 2.1):
                break  # a nearer block would end up on the player's own head
            for _ in self._ticks(3, 8):
                yield frozenset({"use"})
            if self._chance(0.6):
                pitch = float(np.clip(senses.pitch + rng.uniform(-12, 8), 5, 38))
                self._look_at(rng.uniform(-25, 25), pitch, int(rng.choice((10, 15, 20))))
            for _ in self._ticks(3, 10):
                yield NONE
            self._hold()
        for _ in self._ticks(0, 10):
            yield NONE if senses.hazard(BACK, 1) else frozenset({"back"})
        self._look_at(None, self._gaze.home, int(rng.choice((10, 15, 20))))
        yield from self._until_aimed(20)
