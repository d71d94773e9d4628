"""Coming back in a world seen from above: is the ground as it was left?

In the dream the player walks away on a random way and back on the same one. What had left the view
meanwhile is compared with how it looked at first, by tile, with the world's memory and with one
that knows the last frame alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nfd_gym.eval.rollout import Excerpt
from nfd_gym.games.crafter.spec import ACTIONS, MOVES, NUMBER
from nfd_gym.games.crafter.tiles import Reading, TileReader
from nfd_gym.memory import Edit, Memory, MemoryState, View
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.runtime.session import Session
from nfd_gym.world import World

AWAY = (10, 30, 60)  # steps until the player is back
TURNS = 0.15  # chance a step of another heading
LATE = 2.0  # times the way out that the way back may take: creatures stand in it
CREATURES = [NUMBER[name] for name in ("cow", "zombie", "skeleton", "arrow", "player")]
STEPS = {step: ACTIONS.index(name) for name, step in MOVES.items()}
DAY = 0.6

Spot = tuple[int, int]


@dataclass(frozen=True)
class LastFrameOnly:
    """A memory that holds what the last frame showed: the control."""

    memory: Memory

    @property
    def kind(self) -> str:
        return self.memory.kind

    @property
    def edits(self) -> int:
        return self.memory.edits

    def start(self, frames: Tensor, nearness: Tensor, poses: Tensor) -> MemoryState:
        return self.memory.start(frames[:, -1:], nearness[:, -1:], poses[:, -1:])

    def edit(self, state: MemoryState, edit: Edit | None) -> MemoryState:
        return state

    def read(self, state: MemoryState, frame: Tensor, pose: Tensor) -> View:
        return self.memory.read(state, frame, pose)

    def write(
        self, state: MemoryState, view: View, frame: Tensor, nearness: Tensor, pose: Tensor
    ) -> MemoryState:
        return self.memory.start(frame[:, None], nearness[:, None], pose[:, None])

    def lasting(self, state: MemoryState) -> Any:
        """What a body with events asks of a map of tiles."""
        asked: Any = self.memory
        return asked.lasting(state)

    def config(self) -> dict[str, Any]:
        return self.memory.config()

    def tensors(self) -> dict[str, Tensor]:
        return self.memory.tensors()

    @classmethod
    def build(
        cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor], code: Tokenizer
    ) -> "LastFrameOnly":
        raise NotImplementedError("a control is not stored")


def return_table(world: World, real: Excerpt, engine: str, tiles: TileReader) -> dict[str, Any]:
    """Share of the ground's tiles that left the view and are as they were."""
    rows: list[list[Any]] = []
    for steps in AWAY:
        row: list[Any] = [steps]
        for kept in (world, replace(world, memory=LastFrameOnly(world.memory))):
            same, count = came_back(kept, real, steps, engine, tiles)
            row += [count, same / max(1, count)]
        rows.append(row)
    columns = [
        "steps",
        "tiles",
        "as they were",
        "tiles, last frame only",
        "as they were, last frame only",
    ]
    return {"columns": columns, "rows": rows}


def came_back(
    world: World, real: Excerpt, steps: int, engine: str, tiles: TileReader, seed: int = 0
) -> tuple[int, int]:
    """(tiles that are as they were, tiles) over all stretches, walked away from and back to."""
    given = real.span(0, real.context, real.context)
    count, codec = len(given.frames), world.codec
    session = Session(world, num_envs=count, engine=engine)
    session.reset(given.frames, given.actions, seeds=np.arange(count))
    first, begun = tiles.read(session.frame), places(session)
    walkers = [Walker(np.random.default_rng([seed, lane])) for lane in range(count)]
    for walker, place in zip(walkers, begun, strict=True):
        walker.at = place
    lost = np.zeros(first.view.shape, bool)
    out = steps // 2
    for step in range(out + int(LATE * out)):
        told = [w.away() if step < out else w.back() for w in walkers]
        session.advance(np.stack([codec.encode(action) for action in told]))
        for lane, (walker, place) in enumerate(zip(walkers, places(session), strict=True)):
            walker.went(place, away=step < out)
            lost[lane] |= ~overlap(place, begun[lane], first.view.shape[1:])
    last, ends = tiles.read(session.frame), places(session)
    session.close()
    return compared(first, last, begun, ends, lost)


class Walker:
    """One lane's way out and back."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random, self.at, self.way = random, (0, 0), list[Spot]()
        self.heading: Spot = list(STEPS)[int(random.integers(4))]

    def away(self) -> int:
        if self.random.random() < TURNS:
            self.turn()
        return STEPS[self.heading]

    def back(self) -> int:
        """The last step undone; nothing where all are."""
        if not self.way:
            return 0
        dx, dy = self.way[-1]
        return STEPS[-dx, -dy]

    def went(self, place: Spot, away: bool) -> None:
        """Side effect: the way to this place is known."""
        step = (place[0] - self.at[0], place[1] - self.at[1])
        self.at = place
        if step == (0, 0):
            if away:
                self.turn()
        elif away:
            self.way.append(step)
        elif self.way:
            self.way.pop()

    def turn(self) -> None:
        self.heading = list(STEPS)[int(self.random.integers(4))]


def places(session: Session) -> list[Spot]:
    return [(int(x), int(y)) for x, y in torch.round(session.state.pose[:, :2]).tolist()]


def overlap(place: Spot, begun: Spot, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which tiles (9,7) of the view at `begun` are in view at `place`."""
    x, y = np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij")
    x, y = x - (place[0] - begun[0]), y - (place[1] - begun[1])
    return np.asarray((x >= 0) & (x < shape[0]) & (y >= 0) & (y < shape[1]))


def compared(
    first: Reading, last: Reading, begun: list[Spot], ends: list[Spot], lost: NDArray[np.bool_]
) -> tuple[int, int]:
    """(equal, all) of the ground's tiles that were lost from view, by day, where both views show
    them."""
    same = total = 0
    width, height = first.view.shape[1:]
    for lane in range(len(lost)):
        if min(first.daylight[lane], last.daylight[lane]) < DAY:
            continue
        dx, dy = (ends[lane][axis] - begun[lane][axis] for axis in range(2))
        for x, y in zip(*np.nonzero(lost[lane]), strict=True):
            now = (int(x) - dx, int(y) - dy)
            if not (0 <= now[0] < width and 0 <= now[1] < height):
                continue
            old, new = int(first.view[lane][x, y]), int(last.view[lane][now])
            if old in CREATURES or new in CREATURES:
                continue
            same, total = same + (old == new), total + 1
    return same, total
