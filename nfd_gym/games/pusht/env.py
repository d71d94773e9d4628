"""PushT-v0: the PushT robotics benchmark with well-drawn pictures and exact resets."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded

from nfd_gym.errors import UsageError
from nfd_gym.extras import need
from nfd_gym.games.pusht.spec import MOVED, SIDE, SPEC

Frame = npt.NDArray[np.uint8]
DRAWN = 512  # pixels at which the game draws itself


class PushTEnv(gymnasium.Env[Frame, npt.NDArray[np.float32]]):
    """`gym_pusht/PushT-v0` behind pictures; its physics, reward and end are untouched.

    Pictures are drawn at 512x512 and area-averaged to `size`; the environment's own reduction does
    not average, which makes the edges of the block jump. `native=True` keeps it, for policies that
    were trained on such pictures. An action is the place (x, y) that the agent moves to, 0 to 512.

    `reset(options={"state": (agent x, y, block x, y, angle)})` places everything exactly there
    (7 numbers: the agent's velocity too). Equal states have equal futures, bit for bit. The state
    of a running episode lacks one thing: the impulses that the physics keeps from the last step of
    a contact, so an episode cut while pushing continues almost, not exactly, as it did.

    `info`: state (5,), velocity (2,) of the agent, coverage, is_success, n_contacts and events,
    [("push", "block")] where the block moved by more than half a pixel of 512.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 10}  # type: ignore[misc]

    def __init__(
        self,
        size: tuple[int, int] = SPEC.size,
        native: bool = False,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise UsageError(f"render_mode is 'rgb_array' or None, got {render_mode!r}.")
        width, height = (int(side) for side in size)
        if not (8 <= width <= DRAWN and 8 <= height <= DRAWN):
            raise UsageError(f"size is (width, height), each from 8 to {DRAWN}, got {size!r}.")
        self._cv2 = need("cv2", "robotics")
        self._pixels = need("pygame.surfarray", "robotics").pixels3d
        self.game: Any = need("gym_pusht.envs.pusht", "robotics").PushTEnv(obs_type="state")
        self.size, self.native, self.render_mode = (width, height), native, render_mode
        self.codec = SPEC.codec
        self.action_space = self.codec.space()
        self.observation_space = gymnasium.spaces.Box(0, 255, (height, width, 3), np.uint8)
        self._frame: Frame | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frame, dict[str, Any]]:
        """Random places drawn from the seed, or exactly options["state"]."""
        super().reset(seed=seed)
        unknown = set(options or {}) - {"state"}
        if unknown:
            raise UsageError(f"no reset option {sorted(unknown)[0]!r}; there is 'state'.")
        state = (options or {}).get("state")
        if state is None:
            draw = self.np_random
            state = (
                *draw.integers(50, 450, 2),
                *draw.integers(100, 400, 2),
                draw.uniform(-np.pi, np.pi),
            )
        place(self.game, state)
        self._frame = self._draw()
        info = {"coverage": float(self.game._get_coverage()), "is_success": False, "n_contacts": 0}
        return self._frame.copy(), {**self._state(), **info, "events": []}

    def step(
        self, action: npt.NDArray[np.float32]
    ) -> tuple[Frame, float, bool, bool, dict[str, Any]]:
        if self._frame is None:
            raise ResetNeeded("call reset() before step().")
        target = self.codec.decode(self.codec.encode(action)).astype(np.float64)
        before = np.array(self.game.block.position)
        _, reward, terminated, _, said = self.game.step(target.clip(0.0, SIDE))
        moved = np.linalg.norm(np.array(self.game.block.position) - before) > MOVED
        self._frame = self._draw()
        info = {
            "coverage": float(said["coverage"]),
            "is_success": bool(said["is_success"]),
            "n_contacts": int(said["n_contacts"]),
            "events": [("push", "block")] if moved else [],
        }
        return self._frame.copy(), float(reward), bool(terminated), False, {**self._state(), **info}

    def render(self) -> Frame | None:  # type: ignore[override]
        """The newest frame."""
        return None if self._frame is None or self.render_mode is None else self._frame.copy()

    def close(self) -> None:
        self.game.close()

    def _state(self) -> dict[str, Any]:
        state = read(self.game)
        return {"state": state[:5], "velocity": state[5:]}

    def _draw(self) -> Frame:
        screen = self.game._draw()
        if self.native:
            return np.asarray(self.game._get_img(screen, *self.size), np.uint8)
        large = np.transpose(np.array(self._pixels(screen)), (1, 0, 2))
        small = self._cv2.resize(large, self.size, interpolation=self._cv2.INTER_AREA)
        return np.asarray(small, np.uint8)


def read(game: Any) -> npt.NDArray[np.float64]:
    """State (7,): agent x, y; block x, y, angle; the agent's velocity."""
    agent, block = game.agent, game.block
    return np.array([*agent.position, *block.position, block.angle, *agent.velocity])


def place(game: Any, state: npt.ArrayLike) -> None:
    """Side effect: a fresh table with agent and block exactly at a state (5,) or (7,)."""
    values = np.asarray(state, np.float64)
    if values.shape not in ((5,), (7,)) or not np.isfinite(values).all():
        raise UsageError(
            "a state is agent x, y, block x, y, angle and perhaps the agent's velocity: 5 or 7 "
            f"finite numbers, got {state!r}."
        )
    game._setup()
    game.agent.position = tuple(values[:2].tolist())
    game.agent.velocity = tuple(values[5:].tolist()) or (0.0, 0.0)
    game.block.angle = float(values[4])  # first: it turns the block round its centre of mass
    game.block.position = tuple(values[2:4].tolist())
    for body in (game.agent, game.block):
        game.space.reindex_shapes_for_body(body)
