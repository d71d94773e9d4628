"""Crafter-v0: the benchmark Crafter behind Gymnasium's interface, drawn at 16 pixels a tile."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded

from nfd_gym.errors import UsageError
from nfd_gym.games.crafter.spec import DAY, HUD, SPEC, VIEW
from nfd_gym.games.crafter.world import apply_start, make_game, semantic

Frame = npt.NDArray[np.uint8]
OPTIONS = ("inventory", "time", "place", "beside")


class CrafterEnv(gymnasium.Env[Frame, int]):
    """9x7 tiles of the map around the player, and two rows of counts; one of 17 actions a step.

    Rules, reward (+1 for the first time of each of 22 achievements, +-.1 for each point of health)
    and end (no health left) are Crafter's. `size` is (width, height) as in Crafter, 64x64 there;
    144x144 gives every sprite its own 16 pixels. The same seed and actions give the same episode in
    every process; at night the picture's noise is drawn from the game's own generator, so the size
    belongs to what must be equal.

    `reset(options=...)`, each optional: "inventory" {count: 0 to 9}; "time", the step of the day,
    0 to 299 (dusk at about 150, darkest at 210); "place", a tile (x, y) or a material to begin
    beside, facing it; "beside", materials, creatures, "plant" or "ripe_plant" put next to the
    player.

    `info`: inventory and achievements (counts by name), position (x, y), facing (dx, dy), semantic
    (64, 64) tile numbers [x, y] of `spec.TILES`, asleep, clock (the step of the day), daylight 0 to
    1 and events of this step as (kind, name): ("collect", "wood"), ("defeat", "zombie"),
    ("wake", "up"), ("hurt", "health").
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}  # type: ignore[misc]

    def __init__(self, size: tuple[int, int] = SPEC.size, render_mode: str | None = None) -> None:
        if render_mode not in (None, "rgb_array"):
            raise UsageError(f"render_mode is 'rgb_array' or None, got {render_mode!r}.")
        width, height = (int(side) for side in size)
        if width < VIEW[0] or height < VIEW[1] + HUD[1]:
            raise UsageError(f"size is (width, height), at least a pixel a tile, got {size!r}.")
        self.size, self.render_mode = (width, height), render_mode
        self.game = make_game(self.size, length=None)
        self.codec = SPEC.codec
        self.action_space = self.codec.space()
        self.observation_space = gymnasium.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self._frame: Frame | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frame, dict[str, Any]]:
        super().reset(seed=seed)
        for name in options or {}:
            if name not in OPTIONS:
                raise UsageError(f"no reset option {name!r}; there are {', '.join(OPTIONS)}.")
        # Crafter derives an episode from (seed, how many episodes there were).
        self.game._seed, self.game._episode = int(self.np_random.integers(2**31 - 1)), 0
        frame = self.game.reset()
        if options:
            apply_start(self.game, options, self.np_random)
            frame = self.game.render()
        self._frame = np.array(frame, np.uint8)
        self._before = dict(self.game._player.achievements)
        return self._frame.copy(), self._info([])

    def step(self, action: Any) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        if self._frame is None:
            raise ResetNeeded("call reset() before step().")
        chosen = int(self.codec.decode(self.codec.encode(action)))
        health = self.game._player.health
        frame, reward, _, _ = self.game.step(chosen)
        self._frame = np.array(frame, np.uint8)
        player = self.game._player
        events = self._events()
        if player.health < health:
            events.append(("hurt", "health"))
        dead = bool(player.health <= 0)
        return self._frame.copy(), float(reward), dead, False, self._info(events)

    def render(self) -> Frame | None:  # type: ignore[override]
        """The newest frame."""
        return None if self._frame is None or self.render_mode is None else self._frame.copy()

    def _events(self) -> list[tuple[str, str]]:
        """Achievements counted in this step, those unlocked long ago too."""
        now = dict(self.game._player.achievements)
        names = [name for name, count in now.items() if count > self._before[name]]
        self._before = now
        return [(kind, what) for kind, _, what in (name.partition("_") for name in names)]

    def _info(self, events: list[tuple[str, str]]) -> dict[str, Any]:
        player = self.game._player
        return {
            "inventory": dict(player.inventory),
            "achievements": dict(player.achievements),
            "position": (int(player.pos[0]), int(player.pos[1])),
            "facing": (int(player.facing[0]), int(player.facing[1])),
            "semantic": semantic(self.game),
            "asleep": bool(player.sleeping),
            "clock": int(self.game._step) % DAY,
            "daylight": float(self.game._world.daylight),
            "events": events,
        }
