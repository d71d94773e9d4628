"""Body of a player who walks from tile to tile: does a commanded step succeed?

The answer is read from the last frame: from the tiles around the player and others that matter
(a count of energy tells whether a sleeper wakes). The pose is the sum of the steps made. In games
with days it ends in the step of the day, which runs on by itself: no single picture holds it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nfd_gym import settings
from nfd_gym.model.body import Move
from nfd_gym.model.clock import Clock
from nfd_gym.model.events import Events, told

COARSE = 4  # averages a tile's side
LASTED = 16  # numbers that say for how long a tile has looked so; see memory/tiles.py


@dataclass(frozen=True, kw_only=True)
class StepConfig:
    """Where the action's columns are, and what the player looks at."""

    tile: int  # pixels a side
    looks: tuple[tuple[int, int], ...]  # tiles of the picture (right, down) that are looked at
    steps: tuple[tuple[int, int, int], ...]  # (column, right, down): what an action steps by
    actions: int  # columns of an action
    hidden: int = 128
    day: int = 0  # steps of a day; 0: a game without days
    patches: int = 0  # tiles of a picture; only days ask
    events: int = 0  # E numbers that may rise and fall, in a game with a map of tiles and days
    sees: tuple[int, ...] = ()  # tokens of the last frame that events depend on
    channels: int = 0  # C of a token
    below: int = 0  # tiles below the map: for how long each has looked so matters to events
    event_hidden: int = 256

    @property
    def inputs(self) -> int:
        return len(self.looks) * COARSE * COARSE * 3 + self.actions

    @property
    def event_inputs(self) -> int:
        return len(self.sees) * self.channels + LASTED * self.below + self.actions + 2


class StepBody(nn.Module):
    """A pose (right, down) in tiles from where the episode began, with the step of the day where
    there are days, and no motion."""

    kind = "steps"
    reads = True
    edits: tuple[str, ...] = ()

    def __init__(self, config: StepConfig) -> None:
        super().__init__()
        self.settings = config
        # K: the step that is made, cosine and sine of the hour, whether events are told, and they
        self.width, self.pose_width = (4, 3) if config.day else (2, 2)
        self.events: Events | None = None
        if config.events:
            self.width += 1 + config.events
            self.events = Events(config.event_inputs, config.events, config.event_hidden)
        self.clock = Clock(config.patches, config.tile, config.day) if config.day else None
        h = config.hidden
        self.free = nn.Sequential(
            nn.Linear(config.inputs, h), nn.SiLU(), nn.Linear(h, h), nn.SiLU(), nn.Linear(h, 1)
        )

    @torch.no_grad()
    def move(self, memory: Any, state: Any, action: Tensor, noise: Tensor | None = None) -> Move:
        """The place after `action` (B,A), as the frame on show allows it, and the events that
        `noise` (B,N,C) draws; without noise they are not known."""
        succeeds = self.logits(self.inputs(state.frame, action)) > 0
        pose = self.after(state.pose, self.commanded(action) * succeeds[:, None])
        control = self.told(state.pose, pose)
        if self.events is not None:
            known = control.new_zeros(len(control), 1 + self.settings.events)
            if noise is not None:
                given = self.event_inputs(state.latents, memory.lasting(state.memory), action, pose)
                known = told(self.events.drawn(given, noise))
            control = torch.cat([control, known], dim=-1)
        return Move(pose, state.motion, control)

    def told(self, before: Tensor, after: Tensor) -> Tensor:
        """The step (...,2) between two poses, and the hour after it: what the denoiser is told."""
        step = after[..., :2] - before[..., :2]
        if self.clock is None:
            return step
        hour = after[..., 2:] * (2 * math.pi / self.settings.day)
        return torch.cat([step, hour.cos(), hour.sin()], dim=-1)

    def after(self, pose: Tensor, step: Tensor) -> Tensor:
        """The pose (B,P) after a step (B,2)."""
        if self.clock is None:
            return pose + step
        return torch.cat([pose[:, :2] + step, (pose[:, 2:] + 1) % self.settings.day], dim=-1)

    def start(self, poses: Tensor, actions: Tensor) -> Tensor:
        """Motion (B,0)."""
        return actions.new_zeros(len(actions), 0)

    def read(self, frames: Tensor, actions: Tensor) -> Tensor:
        """Poses (B,T,P) of frames uint8 (B,T,H,W,3), from (0, 0) on; `actions[:, i]` produced
        `frames[:, i]`."""
        poses = [frames.new_zeros(len(frames), self.pose_width, dtype=torch.float32)]
        if self.clock is not None:
            poses[0][:, 2] = (self.clock.read(frames) - frames.shape[1] + 1) % self.settings.day
        for i in range(1, frames.shape[1]):
            given = self.logits(self.inputs(frames[:, i - 1], actions[:, i])) > 0
            poses.append(self.after(poses[-1], self.commanded(actions[:, i]) * given[:, None]))
        return torch.stack(poses, 1)

    def commanded(self, action: Tensor) -> Tensor:
        """Steps (B,2) that actions (B,A) ask for."""
        step = action.new_zeros(len(action), 2)
        for column, right, down in self.settings.steps:
            step = step + action[:, column, None] * action.new_tensor([right, down])
        return step

    def inputs(self, frame: Tensor, action: Tensor) -> Tensor:
        """Averages of the tiles looked at in frames uint8 (B,H,W,3), and the action (B,A)."""
        size, part = self.settings.tile, self.settings.tile // COARSE
        seen = [
            frame[:, y * size : (y + 1) * size, x * size : (x + 1) * size]
            for x, y in self.settings.looks
        ]
        tiles = torch.stack(seen, 1).float() / 127.5 - 1.0  # (B,L,tile,tile,3)
        means = tiles.unflatten(3, (COARSE, part)).unflatten(2, (COARSE, part)).mean((3, 5))
        return torch.cat([means.flatten(1), action], dim=1)

    def event_inputs(self, codes: Tensor, lasted: Tensor, action: Tensor, pose: Tensor) -> Tensor:
        """What events depend on (B,·): some codes of the last frame (B,N,C), for how long the tiles
        below the map have `lasted` (B,R,16), the action (B,A), and the hour of the pose (B,P) after
        it."""
        hour = self.told(pose, pose)[:, 2:]
        seen = codes[:, list(self.settings.sees)].flatten(1)
        return torch.cat([seen, lasted.flatten(1), action, hour], dim=1)

    def logits(self, inputs: Tensor) -> Tensor:
        """Logits (B,) of success from `inputs`."""
        out: Tensor = self.free(inputs)[:, 0]
        return out

    def config(self) -> dict[str, Any]:
        """JSON-able settings, as `build` takes them."""
        return settings.to_json(self.settings)

    def tensors(self) -> dict[str, Tensor]:
        """Weights, as `build` takes them."""
        return dict(self.state_dict())

    @classmethod
    def build(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "StepBody":
        body = cls(settings.from_json(StepConfig, config, "body"))
        body.load_state_dict(dict(tensors))
        return body.eval().requires_grad_(False)
