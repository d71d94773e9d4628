"""The body of a player with a camera: rotation exact, displacement and commanded edits learned.

The eye's displacement is predicted from this action and the last, the last displacements and the
solid cells around it; whether attack or use acts in this tick from the action, the time since it
last did and the distance of what the middle of the picture points at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfd_gym import settings
from nfd_gym.errors import NfdError
from nfd_gym.model.body import Edit, Move
from nfd_gym.model.contact import Box, resolve
from nfd_gym.model.legs import CELLS, STEP, LegInputs, around, direction, turned_by, unturn

PITCH_LIMIT = 89.5
TIMER = 8.0  # ticks that a timer counts to


class BodyError(NfdError, ValueError):
    """Settings of a body that contradict each other."""


@dataclass(frozen=True, kw_only=True)
class EyeBodyConfig:
    """Where the action's columns are, and what the hands can do."""

    walk: tuple[int, ...]  # columns that the legs are told
    hands: tuple[int, int]  # columns of dig and place
    choose: tuple[int, ...]  # column that chooses each block kind
    camera: tuple[int, int]  # columns of pitch and yaw
    camera_scale: float  # a camera column c turns by sign(c) (exp(|c| camera_scale) - 1) degrees
    kinds: tuple[str, ...]  # block kinds
    reach: float = 4.5  # metres
    hidden: int = 192
    mirror: tuple[tuple[int, int], ...] = ()  # of `walk`: those that a mirror makes change places

    def __post_init__(self) -> None:
        if len(self.choose) != len(self.kinds):
            raise BodyError(
                f"choose needs a column for each of the kinds {self.kinds}, got {self.choose}."
            )


class Motion(NamedTuple):
    """Columns of the motion tensor (B,M), named."""

    last: Tensor  # (B,3) displacement of the last tick, world axes
    before: Tensor  # (B,3) displacement of the tick before
    timers: Tensor  # (B,2) ticks since the last dig and the last place, over TIMER, at most 1
    held: Tensor  # (B,2) attack and use in the last tick
    slot: Tensor  # (B,1) chosen block kind
    yaw: Tensor  # (B,1) degrees, of the last tick
    walked: Tensor  # (B,W) what the legs were told in the last tick


class EyeBody(nn.Module):
    """Rotation from the action; `legs` give the displacement, `hands` the event."""

    kind = "eye"
    pose_width = 5
    reads = False

    def __init__(self, config: EyeBodyConfig) -> None:
        super().__init__()
        self.shape = config
        self.width = 3 + 2 + len(config.kinds) + 3  # K of the control vector
        inputs = 2 * len(config.walk) + CELLS + 15
        h = config.hidden
        self.legs = nn.Sequential(
            nn.Linear(inputs, h), nn.SiLU(), nn.Linear(h, h), nn.SiLU(), nn.Linear(h, 3)
        )
        self.hands = nn.Sequential(
            nn.Linear(2 + 2 + 2 + POINTED, 64),
            nn.SiLU(),
            nn.Linear(64, 64),
            nn.SiLU(),
            nn.Linear(64, 3),
        )

    # ---- the verbs of a body ----------------------------------------------------------------

    def start(self, poses: Tensor, actions: Tensor, events: Tensor | None = None) -> Tensor:
        """Motion (B,M) at the end of poses (B,T,5), actions (B,T,A), events (B,T) 0 / 1 / 2."""
        count = poses.shape[1]
        still = poses.new_zeros(len(poses), 3)
        last = poses[:, -1, :3] - poses[:, -2, :3] if count > 1 else still
        before = poses[:, -2, :3] - poses[:, -3, :3] if count > 2 else still
        timers = poses.new_ones(len(poses), 2)
        slot = poses.new_zeros(len(poses), 1)
        for i in range(count):
            timers = (timers + 1 / TIMER).clamp_max(1.0)
            if events is not None:
                done = torch.stack([events[:, i] == 1, events[:, i] == 2], dim=1)
                timers = torch.where(done, 0.0, timers)
            slot = self._slot(slot, actions[:, i])
        held, walked = actions[:, -1, self.shape.hands], actions[:, -1, self.shape.walk]
        return torch.cat([last, before, timers, held, slot, poses[:, -1, 3:4], walked], dim=1)

    def motion(self, rows: Tensor) -> Motion:
        """The columns of motion (B,M)."""
        return Motion(*rows.split((3, 3, 2, 2, 1, 1, len(self.shape.walk)), 1))

    @torch.no_grad()
    def move(self, memory: Any, state: Any, action: Tensor, noise: Tensor | None = None) -> Move:
        """The eye after `action` (B,A), and the block that attack or use changes in this tick: the
        one under the middle of the coming view."""
        turned = turn(state.pose, self.degrees(action))
        inputs, quarter = self.inputs(memory, state.memory, turned, state.motion, action)
        step = unturn(self.legs(inputs) * STEP, quarter).clamp(-FASTEST, FASTEST)
        step = torch.where(step.abs() < REST, 0.0, step)
        pose = self._touch(memory, state, torch.cat([turned[:, :3] + step, turned[:, 3:]], dim=1))
        pointed, inner, outer = self.pointed(memory, state.memory, pose, action)
        event = self.event_logits(state.motion, action, pointed).argmax(-1)
        acts = (action[:, self.shape.hands] > 0.5).any(1) & (pointed[:, 0] > 0)
        event = torch.where(acts, event, 0)
        motion, control = self.after(pose, state.pose, state.motion, action, event)
        slot = self.motion(motion).slot[:, 0].long()
        kind = torch.where(event == 2, 2 + slot, event)
        cell = torch.where((event == 2)[:, None], outer, inner)
        return Move(pose, motion, control, Edit(kind, cell))

    def read(self, frames: Tensor, actions: Tensor) -> Tensor:
        """Never asked: no picture says where it was taken."""
        raise BodyError("an eye's poses must be given with the frames.")

    @property
    def edits(self) -> tuple[str, ...]:
        return ("dig", *(f"place {kind}" for kind in self.shape.kinds))

    def config(self) -> dict[str, Any]:
        """JSON-able settings, as `build` takes them."""
        return settings.to_json(self.shape)

    def tensors(self) -> dict[str, Tensor]:
        """Weights, as `build` takes them."""
        return dict(self.state_dict())

    @classmethod
    def build(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "EyeBody":
        body = cls(settings.from_json(EyeBodyConfig, config, "body"))
        body.load_state_dict(dict(tensors))
        return body.eval().requires_grad_(False)

    def after(
        self, pose: Tensor, last_pose: Tensor, motion: Tensor, action: Tensor, event: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Motion and control of a tick whose event (B,) 0 none, 1 dig, 2 place is known."""
        old = self.motion(motion)
        step = pose[:, :3] - last_pose[:, :3]
        held = action[:, self.shape.hands]
        timers = (old.timers + 1 / TIMER).clamp_max(1.0)
        timers = torch.where(torch.stack([event == 1, event == 2], dim=1), 0.0, timers)
        slot = self._slot(old.slot, action)
        walked = action[:, self.shape.walk]
        new = torch.cat([step, old.last, timers, held, slot, pose[:, 3:4], walked], dim=1)
        yaw, pitch = torch.deg2rad(pose[:, 3]), torch.deg2rad(pose[:, 4])
        ahead = -yaw.sin() * step[:, 0] + yaw.cos() * step[:, 2]
        aside = -yaw.cos() * step[:, 0] - yaw.sin() * step[:, 2]
        control = torch.cat(
            [
                4 * torch.stack([ahead, aside, step[:, 1]], dim=1),
                torch.stack([pitch.sin(), pitch.cos()], dim=1),
                F.one_hot(slot[:, 0].long(), len(self.shape.kinds)).float(),
                F.one_hot(event.long(), 3).float(),
            ],
            dim=1,
        )
        return new, control

    def pointed(
        self, memory: Any, memory_state: Any, pose: Tensor, action: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the middle of the view shows, (B,POINTED), and the cells (B,3) of the block there
        and of the free place before it. Without a held button nothing is looked up."""
        acts = (action[:, self.shape.hands] > 0.5).any(1).tolist()
        if not any(acts):
            nowhere = torch.zeros(len(pose), 3, dtype=torch.long, device=pose.device)
            return pose.new_zeros(len(pose), POINTED), nowhere, nowhere
        seen = memory.pointed(memory_state, pose, acts)
        features = pointed_features(
            pose, seen.distance, seen.inner, seen.outer, seen.colour, self.shape.reach
        )
        return features, seen.inner, seen.outer

    def degrees(self, action: Tensor) -> Tensor:
        """Pitch and yaw (B,2) of the turn that actions (B,A) command."""
        camera = action[:, self.shape.camera]
        return camera.sign() * torch.expm1(camera.abs() * self.shape.camera_scale)

    def event_logits(self, motion: Tensor, action: Tensor, pointed: Tensor) -> Tensor:
        """Logits (B,3) of none, dig, place; `pointed` (B,POINTED) as `pointed_features` gives."""
        old = self.motion(motion)
        held = action[:, self.shape.hands]
        out: Tensor = self.hands(torch.cat([held, old.timers, old.held, pointed], dim=1))
        return out

    def trace(self, poses: Tensor, actions: Tensor, events: Tensor) -> tuple[Tensor, Tensor]:
        """Motion (T,M) and control (T,K) along a recorded clip: poses (T,5), actions (T,A), events
        (T,) 0 / 1 / 2."""
        motion = self.start(poses[None, :1], actions[None, :1])
        motions, controls = [motion], [torch.zeros(1, self.width)]
        for i in range(1, len(poses)):
            motion, control = self.after(
                poses[i : i + 1], poses[i - 1 : i], motion, actions[i : i + 1], events[i : i + 1]
            )
            motions.append(motion)
            controls.append(control)
        return torch.cat(motions), torch.cat(controls)

    # ---- parts ------------------------------------------------------------------------------

    def _touch(self, memory: Any, state: Any, wished: Tensor) -> Tensor:
        """Poses (B,5) kept out of the cells that memory knows as solid."""
        home = torch.round(state.pose[:, :3])
        around = (home[:, None] + _box_offsets(wished.device)).long()
        solid = memory.solid(state.memory, around)
        out = wished.clone()
        for env in range(len(wished)):
            full = {tuple(cell) for cell in around[env][solid[env]].tolist()}
            x, y, z, *_ = state.pose[env].tolist()
            right, up, far, *_ = wished[env].tolist()
            place = torch.tensor(resolve((x, y, z), (right, up, far), full.__contains__, BOX))
            out[env, :3] = place
        return self._on_ground(memory, state, out)

    def _on_ground(self, memory: Any, state: Any, wished: Tensor) -> Tensor:
        """Poses (B,5) that leave no place of which memory knows a ground for one of which it knows
        none: beyond what was filmed the world ends, as at a fence."""
        old, out = state.pose, wished.clone()
        there = memory.grounded(state.memory, torch.round(wished[:, :3]).long())
        here = memory.grounded(state.memory, torch.round(old[:, :3]).long())
        kept = (here & ~there)[:, None]
        out[:, [0, 2]] = torch.where(kept, old[:, [0, 2]], wished[:, [0, 2]])
        return out

    def _slot(self, slot: Tensor, action: Tensor) -> Tensor:
        for kind, column in enumerate(self.shape.choose):
            pressed = action[:, column, None] > 0.5
            slot = torch.where(pressed, float(kind), slot)
        return slot

    def inputs(
        self, memory: Any, memory_state: Any, pose: Tensor, motion_row: Tensor, action: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Inputs (B,·) in axes turned by whole quarters so that the heading is within 45 degrees of
        +z, and the number of quarters (B,)."""
        motion = self.motion(motion_row)
        quarter = torch.round(pose[:, 3] / 90.0).long() % 4
        ahead = 90.0 * torch.round(pose[:, 3:4] / 90.0)
        cell = torch.round(pose[:, :3])
        offsets = unturn(around(pose.device).expand(len(pose), -1, -1), quarter)
        columns = LegInputs(
            walk=action[:, self.shape.walk],
            last=turned_by(motion.last, quarter) / STEP,
            before=turned_by(motion.before, quarter) / STEP,
            solid=memory.solid(memory_state, (cell[:, None] + offsets).round().long()).float(),
            place=turned_by(pose[:, :3] - cell, quarter),
            heading=direction(pose[:, 3:4] - ahead),
            timers=motion.timers,
            walked=motion.walked,
            faced=direction(motion.yaw - ahead),
        )
        return torch.cat(columns, dim=1), quarter


POINTED = 8  # numbers about what the middle of the view shows


def pointed_features(
    pose: Tensor, distance: Tensor, inner: Tensor, outer: Tensor, colour: Tensor, reach: float
) -> Tensor:
    """(B,POINTED): whether the pointed block (B,3) is within reach and by how much, how far the
    free cell before it (B,3) is beside and over the eye, the block's height and colour (B,3)."""
    within = (distance <= reach).float()
    beside = (outer[:, [0, 2]] - pose[:, [0, 2]]).abs().amax(1).clamp_max(2.0)
    over = (outer[:, 1] - pose[:, 1]).clamp(-3.0, 3.0)
    height = (inner[:, 1] / 8.0).clamp(-2.0, 2.0)
    rows = [
        within,
        (reach - distance).clamp(-1, 1),
        within * beside,
        within * over,
        within * height,
    ]
    return torch.cat([torch.stack(rows, dim=1), within[:, None] * colour], dim=1)


FASTEST = 1.6  # metres a tick, in any direction: a long fall
REST = 0.004  # metres a tick along an axis; less is an error of the net: standing must not creep


def turn(pose: Tensor, degrees: Tensor) -> Tensor:
    """Poses (B,5) turned by pitch and yaw (B,2) in degrees, not moved."""
    yaw = pose[:, 3] + degrees[:, 1]
    pitch = (pose[:, 4] + degrees[:, 0]).clamp(-PITCH_LIMIT, PITCH_LIMIT)
    return torch.cat([pose[:, :3], yaw[:, None], pitch[:, None]], dim=1)


BOX = Box()


def _box_offsets(device: torch.device) -> Tensor:
    """Cells around the eye's that a tick's move may touch."""
    sides = range(-2, 3)
    grid = [(float(x), float(y), float(z)) for y in range(-6, 3) for x in sides for z in sides]
    return torch.tensor(grid, device=device)
