"""Does a body walk, jump and meet walls as the game's does? The body and memory alone, no pictures.

From recorded poses of held-out clips: short rollouts under the recorded actions, and walks straight
ahead into whatever stands there.
"""

import math
from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nfd_gym.data.clip import Clip
from nfd_gym.world import World
from nfd_gym.world.state import WorldState
from nfd_gym.world.step import no_edit

SPAN = 12  # ticks of a short rollout: a whole jump
FLAT, RISEN, STEADY = 0.02, 0.5, 0.05  # metres
AHEAD = 40  # ticks of a walk into a wall
RADIUS = 0.3  # metres, half of a player's width
GIVEN = 3  # recorded ticks that the body's motion is taken from


@dataclass
class Walker:
    """One eye of a world that moves without a picture."""

    world: World
    state: WorldState

    @classmethod
    def at(cls, world: World, clip: Clip, tick: int) -> "Walker":
        """At a recorded tick; the place is as it was before any edit."""
        assert clip.pose is not None
        span = slice(max(0, tick - GIVEN), tick + 1)
        poses = torch.from_numpy(clip.pose[None, span])
        actions = torch.from_numpy(clip.actions[None, span])
        memory = world.memory.start(
            torch.from_numpy(clip.frames[None, :0]), torch.zeros(1, 0, 1, 1), poses[:, :0]
        )
        nothing = torch.zeros(1, 0)
        motion = world.body.start(poses, actions)
        return cls(world, WorldState(
            nothing, nothing, nothing, poses[:, -1], motion, memory, no_edit(actions[:, -1]),
        ))  # fmt: skip

    @torch.no_grad()
    def step(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """The pose (5,) after an action (A,)."""
        vector = torch.from_numpy(action)[None]
        move = self.world.body.move(self.world.memory, self.state, vector)
        memory = self.world.memory.edit(self.state.memory, move.edit)
        self.state = self.state._replace(pose=move.pose, motion=move.motion, memory=memory)
        pose: NDArray[np.float32] = move.pose[0].numpy()
        return pose

    def inside(self) -> float:
        """Metres by which the player's box has entered a block at the height of eye or body."""
        place = self.state.pose[:, None, :3]
        points = torch.cat([place, place - place.new_tensor([0.0, 1.0, 0.0])], dim=1)
        cells = torch.round(points).long()
        depth = 0.5 + RADIUS - (points - cells).abs()[..., [0, 2]].amax(-1)
        memory: Any = self.world.memory  # one that knows blocks
        solid = memory.solid(self.state.memory, cells)
        return float(torch.where(solid, depth, 0.0).max())


def pieces(clip: Clip, every: int = 20) -> Iterator[int]:
    """Ticks from which `SPAN` recorded ticks follow before the first edit."""
    yield from range(GIVEN, unchanged(clip) - SPAN, every)


def unchanged(clip: Clip) -> int:
    """Ticks of a clip before its first edit."""
    return min((event.frame for event in clip.events), default=len(clip))


def walking(world: World, clips: list[Clip], every: int = 20) -> dict[str, float]:
    """Speed on flat ground over the game's, errors of a jump's height, displacement errors a tick
    and after `SPAN` ticks, in metres."""
    ratios, heights, first, last = [], [], [], []
    for clip in clips:
        assert clip.pose is not None
        for tick in pieces(clip, every):
            game = clip.pose[tick : tick + SPAN + 1, :3]
            walker = Walker.at(world, clip, tick)
            made = np.stack([walker.step(clip.actions[tick + i + 1])[:3] for i in range(SPAN)])
            made = np.concatenate([game[:1], made])
            off = np.linalg.norm(made - game, axis=1)
            first.append(float(off[1]))
            last.append(float(off[-1]))
            steps = np.linalg.norm(np.diff(game[:, [0, 2]], axis=0), axis=1)
            if np.ptp(game[:, 1]) < FLAT and steps.min() > STEADY:
                travelled = np.linalg.norm(np.diff(made[:, [0, 2]], axis=0), axis=1).sum()
                ratios.append(float(travelled / steps.sum()))
            rise, own = game[:, 1].max() - game[0, 1], made[:, 1].max() - made[0, 1]
            if rise > RISEN:
                heights.append(float(own - rise))
    errors = np.abs(heights)
    return {
        "pieces": float(len(first)),
        "walks": float(len(ratios)), "speed_ratio": told(np.median, ratios),
        "rises": float(len(heights)), "rise_error": told(np.median, errors),
        "rises_within_0.1": told(np.mean, errors < 0.1),
        "tick_error": told(np.mean, first), "span_error": told(np.median, last),
    }  # fmt: skip


def told(figure: Callable[[Any], Any], values: Sized) -> float:
    """A figure of values; nan of none."""
    return float(figure(values)) if len(values) else math.nan


def walls(
    world: World, clips: list[Clip], forward: NDArray[np.float32], tries: int = 100, seed: int = 0
) -> dict[str, float]:
    """Walks of `AHEAD` ticks straight ahead from random recorded places with random headings: how
    many are stopped, and how many enter a block by more than half a metre or fall out of the world.
    `forward` (A,) is the action."""
    random, deepest, stopped, lost = np.random.default_rng(seed), [], 0, 0
    for _ in range(tries):
        clip = clips[int(random.integers(len(clips)))]
        assert clip.pose is not None
        last = max(GIVEN + 1, unchanged(clip))
        walker = Walker.at(world, clip, int(random.integers(GIVEN, last)))
        heading = torch.tensor(float(random.uniform(0, 360)))
        turned = walker.state.pose.clone()
        turned[:, 3] = heading
        walker.state = walker.state._replace(pose=turned)
        poses, deep = [walker.state.pose[0].numpy()], 0.0
        for _ in range(AHEAD):
            poses.append(walker.step(forward))
            deep = max(deep, walker.inside())
        deepest.append(deep)
        moved = np.linalg.norm(np.diff(np.stack(poses)[:, [0, 2]], axis=0), axis=1)
        stopped += bool((moved[-5:] < 0.05).all())
        lost += bool(poses[-1][1] < poses[0][1] - 20)
    return {
        "tries": float(tries), "stopped": float(stopped),
        "entered_by_half": float((np.array(deepest) > 0.5).sum()), "deepest": float(max(deepest)),
        "fell_out": float(lost),
    }  # fmt: skip
