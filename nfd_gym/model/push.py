"""Body of a player that is steered to places in the picture and pushes one rigid thing.

The player's way is linear in where it is, how it coasts and where it is steered. A step is cut into
parts; in each a network tells how the thing gives way to the player and to the walls, from what
touches it. A thing that nothing touches stays where it is, exactly.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nfd_gym import settings, shapes
from nfd_gym.model.body import Move
from nfd_gym.model.outline import Outline, turned

NEAR, PRESSED = 0.5, -0.15  # pixels: gaps below which player and walls touch the thing
REST = 0.01  # pixels a part below which nothing moves
STRIDE = 2.0  # pixels a part: the network's unit


@dataclass(frozen=True, kw_only=True)
class PushConfig:
    scene: shapes.Scene
    walls: tuple[float, float]  # inner faces, across and along, in the scene's pixels
    mirror: bool = False  # the thing is its own mirror image at the axis that points down
    parts: int = 5  # of a step
    hidden: int = 128


class PushBody(nn.Module):
    """Poses of five numbers: player (right, down) and thing (right, down), each -1 to 1 over the
    picture, and the thing's angle in radians, which grows from right towards down without end."""

    kind = "push"
    width = 16  # four poses of four numbers
    pose_width = 5
    reads = True
    edits: tuple[str, ...] = ()
    path: Tensor  # (parts,2) weights of the way from the aim and of the coasting, after each part
    coast: Tensor  # (2,) weights of the way to the aim and of the displacement

    def __init__(self, config: PushConfig) -> None:
        super().__init__()
        self.shape = config
        scene = config.scene
        middle = torch.from_numpy(scene.middle())
        self.outline = Outline(scene.boxes, middle, scene.radius, config.walls)
        inputs, h = 4 + 7 * len(scene.boxes) + 28 + 2, config.hidden
        self.gives = nn.Sequential(
            nn.Linear(inputs, h), nn.SiLU(), nn.Linear(h, h), nn.SiLU(),
            nn.Linear(h, h), nn.SiLU(), nn.Linear(h, 3),
        )  # fmt: skip
        nn.init.normal_(list(self.gives.parameters())[-2], std=0.005)  # at first little gives way
        self.register_buffer("path", torch.zeros(config.parts, 2))
        self.register_buffer("coast", torch.zeros(2))
        self.steer(0.3, 0.1, 0.0)

    # ---- the verbs of a body ----------------------------------------------------------------

    @torch.no_grad()
    def move(self, memory: Any, state: Any, action: Tensor, noise: Tensor | None = None) -> Move:
        """Poses (B,5) after `action` (B,A), whose first two numbers are a place."""
        pose, motion = self.step(state.pose, state.motion, action)
        return Move(pose, motion, self.told(state.pose, pose))

    def start(self, poses: Tensor, actions: Tensor) -> Tensor:
        """Motion (B,2) at the end of poses (B,T,5) under actions (B,T,A): how far the player coasts
        in the next step if it is steered to where it is. One pose alone is at rest."""
        if poses.shape[1] < 2:
            return poses.new_zeros(len(poses), 2)
        return self._coasting(poses[:, -2, :2], poses[:, -1, :2], actions[:, -1, :2])

    def told(self, before: Tensor, after: Tensor) -> Tensor:
        """Control (...,16) of a move between poses (...,5): player before and after, thing before
        and after, each (right, down, cos, sin)."""
        parts = []
        for first in (0, 2):
            for pose in (before, after):
                angle = pose[..., 4:] if first else torch.zeros_like(pose[..., 4:])
                parts += [pose[..., first : first + 2], angle.cos(), angle.sin()]
        return torch.cat(parts, -1)

    @torch.no_grad()
    def read(self, frames: Tensor, actions: Tensor) -> Tensor:
        """Poses (B,T,5) that frames uint8 (B,T,H,W,3) show."""
        states = shapes.read(self.shape.scene, frames.cpu().numpy())
        return self.posed(torch.from_numpy(states.astype(np.float32)).to(frames.device))

    def posed(self, states: Tensor) -> Tensor:
        """Poses (...,5) of states (...,5): places in the scene's pixels and an angle."""
        return torch.cat([states[..., :4] * (2 / self.shape.scene.side) - 1, states[..., 4:]], -1)

    def config(self) -> dict[str, Any]:
        """JSON-able settings, as `build` takes them."""
        return settings.to_json(self.shape)

    def tensors(self) -> dict[str, Tensor]:
        """Weights, as `build` takes them."""
        return dict(self.state_dict())

    @classmethod
    def build(cls, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "PushBody":
        body = cls(settings.from_json(PushConfig, config, "body"))
        body.load_state_dict(dict(tensors))
        return body.eval().requires_grad_(False)

    # ---- what is learned --------------------------------------------------------------------

    def steer(self, gain: float, pull: float, keep: float) -> None:
        """Side effect: in a step the player makes `gain` of the way to its aim, and its coasting;
        its next coasting is `pull` of the way to the aim plus `keep` of the way made."""
        step = torch.tensor([[1 - gain, 1.0], [-gain * keep - pull, keep]], dtype=torch.float64)
        values, vectors = torch.linalg.eig(step)
        parts = self.shape.parts
        for part in range(parts):
            power = vectors @ torch.diag(values ** ((part + 1) / parts)) @ torch.linalg.inv(vectors)
            self.path[part] = power[0].real
        self.path[-1] = step[0]
        self.coast.copy_(torch.tensor([pull, keep]))

    def step(self, pose: Tensor, motion: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Pose (...,5) and motion (...,2) after an action (...,A); differentiable."""
        aim, player, place, angle = action[..., :2], pose[..., :2], pose[..., 2:4], pose[..., 4]
        way, at = player - aim, player
        for weight in self.path.unbind():
            to = aim + weight[0] * way + weight[1] * motion
            place, angle = self.push(at, to, place, angle)
            at = to
        moved = torch.cat([at, place, angle[..., None]], -1)
        return moved, self._coasting(player, at, aim)

    def push(self, at: Tensor, to: Tensor, place: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
        """Places (...,2) and angles (...,) of the thing after the player went from `at` to `to`."""
        pixels, outline = self.shape.scene.side / 2, self.outline
        start, end = (turned((player - place) * pixels, -angle) for player in (at, to))
        gap, normal, lever = outline.disc(end)
        wall, arm = outline.wall((place + 1) * pixels, angle)
        touched = (gap.amin(-1) < NEAR) | (wall.amin((-1, -2)) < PRESSED)
        if not touched.any():
            return place, angle
        inputs = self._inputs(start, end, gap, normal, lever, wall.flatten(-2), arm.flatten(-2))
        heading = torch.stack([angle.cos(), angle.sin()], -1)
        gives = self.gives(torch.cat([inputs, heading], -1)) * STRIDE
        touched = touched & (gives.abs().amax(-1) > REST)
        turn = gives[..., 2] / outline.reach
        middle = outline.middle.expand_as(place)  # about it the thing turns
        shift = turned(middle + gives[..., :2], angle) - turned(middle, angle + turn)
        place = torch.where(touched[..., None], place + shift / pixels, place)
        return place, torch.where(touched, angle + turn, angle)

    def _inputs(
        self, start: Tensor, end: Tensor, gap: Tensor, normal: Tensor, lever: Tensor, wall: Tensor,
        arm: Tensor,
    ) -> Tensor:  # fmt: skip
        """What touches the thing, about one each: near gaps at several scales, levers, speeds."""
        reach, way = self.outline.reach, end - start
        speed = (normal * way[..., None, :]).sum(-1) / 5
        arm = (arm / reach).clamp(-1.5, 1.5) * (wall < 8)
        return torch.cat([
            (end - self.outline.middle) / reach, way / 5, capped(gap, 20), capped(gap, 5),
            capped(gap, 1), normal.flatten(-2), lever / reach, speed, capped(wall, 3),
            capped(wall, 15), arm, (wall[..., ::2] < 1).to(wall.dtype),
        ], -1)  # fmt: skip

    def _coasting(self, before: Tensor, after: Tensor, aim: Tensor) -> Tensor:
        return self.coast[0] * (aim - before) + self.coast[1] * (after - before)


def capped(gap: Tensor, scale: float) -> Tensor:
    return (gap / scale).clamp(-2.0, 1.0)


def apart(one: Tensor, other: Tensor) -> Tensor:
    """Differences (...,) of angles in radians, -pi to pi."""
    return torch.remainder(one - other + math.pi, 2 * math.pi) - math.pi
