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
from nfd_gym.errors import UsageError
from nfd_gym.games.luanti.hands import Hands
from nfd_gym.games.luanti.install import check
from nfd_gym.games.luanti.places import Wish, command
from nfd_gym.games.luanti.spec import FPS, SIZE, view_fov

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

    The frame that `step` returns is the very next one: it shows the action's turn, its first stride
    and, on the island, the block that it removed or placed. (In Minetest Game a dug block is logged
    in that frame and disappears one frame later, as meshes are rebuilt in another thread.)

    `game="island"`: a small island that is always the same. Attack removes the pointed block at
    once, use places a block of the kind chosen with hotbar.1-3, both at most once in 5 ticks while
    held; steps of one block are climbed without jumping, the sea is walked upon, nothing hurts.
    `game="minetest"`: Minetest Game with its tools, textures and endless terrain.

    Keys: forward back left right jump sneak attack use drop hotbar.1-9 are pressed as in MineRL.
    ESC, inventory, pickItem, swapHands and sprint do nothing: the first two would open menus that
    stop the world, the others do not exist. The camera turns by whole mouse pixels of 0.15 degrees;
    what is left over is added to the next tick, so the view never strays from the commanded sum by
    more than 0.075 degrees. The pitch stops at +-89.5.

    `info`: position (x, y, z) of the feet, yaw, pitch in Minecraft's conventions (forward: (-sin
    yaw, cos yaw) in x, z; yaw grows to the right and is not wrapped, pitch grows downwards), eye
    (x, y, z, yaw, pitch of the camera that drew this frame, smoothing of steps included), depth
    (with depth=True: uint16 (H, W), 16384 per 1/metre along the middle of the view, 0 is sky),
    biome, light, on_ground, in_liquid, head_in_liquid, hotbar (from 0), tick, events of this tick
    ({"type": "dig" or "place", "node", "pos"}), stats since the reset ("mine_block:island:tree",
    "use_item:island:brick", "jump"), surroundings (see tracker.py), mouse (the pixels moved) and
    reward_terms.

    Not bit-exact: the same seed gives the same place, yaw and pitch, but the game's own threads
    (terrain, server) run in real time, so pictures may differ slightly between runs.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["human", "rgb_array"],
        "render_fps": FPS,
    }

    def __init__(
        self,
        size: tuple[int, int] = SIZE,
        action_space: str = "multidiscrete",
        task: str | Task | None = None,
        game: str = "island",
        depth: bool = False,
        place: str | None = None,
        mapgen: str = "v7",
        world_seed: int = 1,
        pace: float | None = None,
        render_mode: str | None = None,
    ) -> None:
        """`size` is (width, height), rendered at twice that and averaged. `task`: envs/tasks.py.
        `place` (a biome), `mapgen` and `world_seed` are Minetest Game's and the defaults of
        `reset`'s options. `pace` limits the steps per second: in Minetest Game distant terrain
        appears late above about 80."""
        self._default = Wish(place, mapgen, world_seed, game)
        if missing := check(game):
            raise DependencyNotInstalled(" ".join(missing))
        width, height = _checked_size(size)
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UsageError(f"render_mode is 'human', 'rgb_array' or None, got {render_mode!r}.")
        if pace is not None and not pace > 0:
            raise UsageError(f"pace is in steps per second and must be above 0, got {pace!r}.")
        if depth and game != "island":
            raise UsageError(
                "Minetest Game draws a hand over its depth; depth needs game='island'."
            )
        self.size, self.depth = (width, height), depth
        crosshair = 0 if game == "island" else 5
        self.codec = KeysAndMouse(action_space, Camera(view_fov(width, height), crosshair))
        self.action_space = self.codec.space()
        self.observation_space = gymnasium.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.render_mode = render_mode
        self.task = make_task(task)
        self._pace_s = 0.0 if pace is None else 1.0 / pace
        self._next_s = 0.0
        self._game: Game | None = None
        self._world: tuple[str, int] | None = None  # (mapgen, world_seed) of the running game
        self._tracker: Tracker | None = None
        self._hands = Hands()
        self._window: Window | None = None
        self._frame: Frame | None = None
        self._carry = (0.0, 0.0)  # parts of a mouse pixel: x, y

    # ---- Gymnasium --------------------------------------------------------------------------

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frame, dict[str, Any]]:
        """Begins at a new place above ground in daylight, drawn from the seed; edits are undone.
        Options, for this reset only: "place" ({"position", "yaw", "pitch"}; on the island the
        position may be (x, z), in Minetest Game the place may be a biome's name), and for Minetest
        Game "mapgen", "world_seed" (another world is another start of the game, 3 to 5 s)."""
        super().reset(seed=seed)
        wish = self._default.with_options(options)
        self._tracker = None  # until the reset has succeeded there is nothing to step
        game = self._running_game(wish)
        if game.island:
            return self._begin_on_island(wish, command(wish, self.np_random))
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
        if self._game.island:
            keys = self._hands.filter(keys)
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
        self._hands.happened(self._tracker.events)
        reward, terminated, terms = self.task.step(self._tracker.facts())
        self._frame = self._game.picture()
        if self.render_mode == "human":
            self.render()
        return self._frame.copy(), reward, terminated, False, self._info((dx, dy), terms)

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
            self._game = Game(*self.size, *world[::-1], wish.game, self.depth)
            self._world = world
        return self._game

    def _begin_on_island(self, wish: Wish, order: dict[str, Any]) -> tuple[Frame, dict[str, Any]]:
        """In the running game, else in a fresh one: an edit that it cannot undo ends the old."""
        for fresh in (False, True):
            if fresh:
                self._drop_game()
            game = self._running_game(wish)
            game.load()
            for _ in range(SEARCHES):
                report = game.command(**order)
                if game.arrive((report["x"], report["y"], report["z"])):
                    return self._begin(game)
        raise RuntimeError("the player cannot stand there; name another place.")

    def _begin(self, game: "Game") -> tuple[Frame, dict[str, Any]]:
        from nfd_gym.games.luanti.tracker import Tracker

        game.step(frozenset({"hotbar.1"}), 0, 0)
        game.step(frozenset(), 0, 0)  # a quiet frame: its logged look is its own
        self._tracker = Tracker(game.facts())
        self._carry, self._hands = (0.0, 0.0), Hands()
        self.task.reset(self._tracker.facts())
        self._frame = game.picture()
        if self.render_mode == "human":
            self.render()
        return self._frame.copy(), self._info((0, 0), {})

    def _info(self, mouse: tuple[int, int], terms: dict[str, float]) -> dict[str, Any]:
        assert self._game is not None and self._tracker is not None
        info = {**self._tracker.info(), "mouse": mouse, "reward_terms": terms}
        if self._game.island:
            info["hotbar"] = self._hands.slot
        if self.depth:
            info["depth"] = self._game.depth()
        return info

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
        raise UsageError(f"size is (width, height), such as (192, 112), got {size!r}.") from error
    fits = SMALLEST[0] <= width <= LARGEST[0] and SMALLEST[1] <= height <= LARGEST[1]
    if not fits:
        raise UsageError(f"size must be {SMALLEST} to {LARGEST} (width, height), got {size!r}.")
    return width, height
