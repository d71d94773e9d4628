"""Luanti-v0: the voxel game Luanti (Minetest 5.6) in lock-step behind Gymnasium's interface."""

import time
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.error import DependencyNotInstalled, ResetNeeded

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.envs.tasks import Task, make_task
from nfd_gym.envs.window import Window
from nfd_gym.games.luanti.install import check
from nfd_gym.games.luanti.places import Wish, command

if TYPE_CHECKING:
    from nfd_gym.games.luanti.game import Game
    from nfd_gym.games.luanti.tracker import Tracker

LARGEST = (640, 384)
SMALLEST = (32, 32)
WINDOW_WIDTH = 768  # of render_mode="human", about
SEARCHES = 6  # places looked at before a reset gives up

Frame = npt.NDArray[np.uint8]


class LuantiEnv(gymnasium.Env[Frame, Any]):
    """One step is one rendered frame, 50 ms of game time; between steps the game stands still.

    The frame that `step` returns is the very next one: it shows the action's turn and first stride.
    A dug block is logged in that frame and disappears from the picture one frame later, as the game
    rebuilds its meshes in another thread.

    Keys: forward back left right jump sneak attack use drop hotbar.1-9 are pressed as in MineRL.
    ESC, inventory, pickItem, swapHands and sprint do nothing: the first two would open menus that
    stop the world, the others do not exist in Minetest Game. The camera turns by whole mouse pixels
    of 0.15 degrees; what is left over is added to the next tick, so the view never strays from the
    commanded sum by more than 0.075 degrees. The pitch stops at +-89.5.

    `info`: position (x, y, z), yaw, pitch in Minecraft's conventions (forward: (-sin yaw, cos yaw)
    in x, z; yaw grows to the right and is not wrapped, pitch grows downwards), biome, light,
    on_ground, in_liquid, head_in_liquid, hotbar (from 0), tick, events of this tick ({"type",
    "node", "pos"}), stats since the reset ("mine_block:default:tree", "use_item:default:wood",
    "jump"), surroundings (see tracker.py), mouse (the pixels moved) and reward_terms.

    Not bit-exact: the same seed gives the same place, yaw and pitch, but the game's own threads
    (clouds, terrain meshes, server) run in real time, so pictures differ slightly between runs.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["human", "rgb_array"],
        "render_fps": 20,
    }

    def __init__(
        self,
        size: tuple[int, int] = (192, 112),
        action_space: str = "multidiscrete",
        task: str | Task | None = None,
        place: str | None = None,
        mapgen: str = "v7",
        world_seed: int = 1,
        pace: float | None = None,
        render_mode: str | None = None,
    ) -> None:
        """`size` is (width, height), rendered at twice that and averaged. `task`: envs/tasks.py.
        `place` (a biome), `mapgen` and `world_seed` are the defaults of `reset`'s options. `pace`
        limits the steps per second: above about 80, distant terrain appears late."""
        missing = check()
        if missing:
            raise DependencyNotInstalled(" ".join(missing))
        width, height = _checked_size(size)
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode is 'human', 'rgb_array' or None, got {render_mode!r}.")
        if pace is not None and not pace > 0:
            raise ValueError(f"pace is in steps per second and must be above 0, got {pace!r}.")
        from nfd_gym.games.luanti.tracker import view_fov  # after the check: needs python-xlib

        self.size = (width, height)
        self.codec = KeysAndMouse(action_space, Camera(view_fov(width, height), crosshair=5))
        self.action_space = self.codec.space()
        self.observation_space = gymnasium.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.render_mode = render_mode
        self.task = make_task(task)
        self._default = Wish(place, mapgen, world_seed)
        self._pace_s = 0.0 if pace is None else 1.0 / pace
        self._next_s = 0.0
        self._game: Game | None = None
        self._world: tuple[str, int] | None = None  # (mapgen, world_seed) of the running game
        self._tracker: Tracker | None = None
        self._window: Window | None = None
        self._frame: Frame | None = None
        self._carry = (0.0, 0.0)  # parts of a mouse pixel: x, y

    # ---- Gymnasium --------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frame, dict[str, Any]]:
        """Begins at a new place above ground in daylight, drawn from the seed. Options, for this
        reset only: "place" (a biome's name or {"position", "yaw", "pitch"}), "mapgen", "world_seed"
        (another world means another start of the game, 3 to 5 s)."""
        super().reset(seed=seed)
        wish = self._default.with_options(options)
        self._tracker = None  # until the reset has succeeded there is nothing to step
        game = self._running_game(wish)
        for _ in range(SEARCHES):
            report = game.command(**command(wish, self.np_random))
            if report["report"] == "placed":
                game.settle()
                if not isinstance(wish.place, str | None) or _good_view(game.picture()):
                    return self._begin(game)
        raise RuntimeError(
            f"world {wish.world_seed} ({wish.mapgen}) has no good {wish.place or 'place'} near its "
            "centre; try another world_seed."
        )

    def step(self, action: Any) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        from nfd_gym.games.luanti.game import pixels
        from nfd_gym.games.luanti.gate import GameDied
        from nfd_gym.games.luanti.keyboard import PRESSABLE

        if self._game is None or self._tracker is None:
            raise ResetNeeded("call reset() before step().")
        vector = self.codec.encode(action)
        keys = PRESSABLE.intersection(self.codec.keys(vector))
        turn_down, turn_right = (float(angle) for angle in self.codec.rotation(vector))
        dx, carry_x = pixels(turn_right, self._carry[0])
        dy, carry_y = pixels(turn_down, self._carry[1])
        self._carry = (carry_x, carry_y)
        self._wait_for_pace()
        try:
            self._game.step(keys, dx, dy)
            self._tracker.advance(self._game.facts(), dx, dy)
        except GameDied as error:
            self._drop_game()
            raise GameDied(f"{error}; call reset() to start a fresh game.") from error
        reward, terminated, terms = self.task.step(self._tracker.facts())
        self._frame = self._game.picture()
        if self.render_mode == "human":
            self.render()
        info = {**self._tracker.info(), "mouse": (dx, dy), "reward_terms": terms}
        return self._frame.copy(), reward, terminated, False, info

    def render(self) -> Frame | None:  # type: ignore[override]
        """The newest frame; in "human" mode it is shown in a window instead."""
        if self._frame is None or self.render_mode is None:
            return None
        if self.render_mode == "rgb_array":
            return self._frame.copy()
        if self._window is None:
            self._window = Window(self.metadata["render_fps"])
        enlarge = max(1, WINDOW_WIDTH // self.size[0])
        self._window.show(self._frame.repeat(enlarge, axis=0).repeat(enlarge, axis=1))
        return None

    def close(self) -> None:
        """Ends the game and removes everything it had on this machine. Idempotent."""
        self._drop_game()
        if self._window is not None:
            self._window.close()
            self._window = None

    # ---- parts ------------------------------------------------------------------------------

    def _running_game(self, wish: Wish) -> "Game":
        from nfd_gym.games.luanti.game import Game

        world = (wish.mapgen, wish.world_seed)
        if self._game is None or self._world != world or not self._game.running:
            self._drop_game()
            self._game = Game(*self.size, world_seed=wish.world_seed, mapgen=wish.mapgen)
            self._world = world
        return self._game

    def _begin(self, game: "Game") -> tuple[Frame, dict[str, Any]]:
        from nfd_gym.games.luanti.tracker import Tracker

        game.step(frozenset({"hotbar.1"}), 0, 0)
        game.step(frozenset(), 0, 0)  # a quiet frame: its logged look is its own
        self._tracker = Tracker(game.facts())
        self._carry = (0.0, 0.0)
        self.task.reset(self._tracker.facts())
        self._frame = game.picture()
        if self.render_mode == "human":
            self.render()
        info = {**self._tracker.info(), "mouse": (0, 0), "reward_terms": {}}
        return self._frame.copy(), info

    def _wait_for_pace(self) -> None:
        now = time.monotonic()
        if now < self._next_s:
            time.sleep(self._next_s - now)
        self._next_s = max(now, self._next_s) + self._pace_s

    def _drop_game(self) -> None:
        self._tracker = None
        if self._game is not None:
            self._game.close()
            self._game = None


def _good_view(frame: Frame) -> bool:
    """Neither a dark corner nor a wall in front of the eyes."""
    return bool(frame.mean() > 60 and frame.std() > 18)


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    try:
        width, height = (int(side) for side in size)
    except (TypeError, ValueError) as error:
        raise ValueError(f"size is (width, height), such as (192, 112), got {size!r}.") from error
    fits = SMALLEST[0] <= width <= LARGEST[0] and SMALLEST[1] <= height <= LARGEST[1]
    if not fits:
        raise ValueError(f"size must be {SMALLEST} to {LARGEST} (width, height), got {size!r}.")
    return width, height
