"""The pushing body: poses are read from pictures, and what nothing touches rests exactly."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from nfd_gym.model.outline import Outline, turned
from nfd_gym.model.push import PushBody
from nfd_gym.shapes import Scene, hull
from nfd_gym.train.recipes.pusht import PUSH
from nfd_gym.world.kinds import build_body

SCENE = replace(PUSH.scene, shift=0.0, grown=0.0, edge=0.0)  # drawn exactly, without walls
CONFIG = replace(PUSH, scene=SCENE)


def make_body(scale: float = 1.0) -> PushBody:
    """A body whose thing gives way at random."""
    torch.manual_seed(0)
    body = PushBody(CONFIG)
    torch.nn.init.normal_(body.gives[-1].weight, std=scale)
    body.steer(0.296, 0.114, -0.0066)
    return body.eval().requires_grad_(False)


def state(pose: Tensor, motion: Tensor | None = None) -> SimpleNamespace:
    return SimpleNamespace(
        pose=pose, motion=torch.zeros(len(pose), 2) if motion is None else motion
    )


def some(count: int) -> tuple[Tensor, Tensor]:
    """Poses (count,5) with the player near the thing, and actions (count,2)."""
    random = torch.Generator().manual_seed(1)
    poses = torch.rand(count, 5, generator=random) - 0.5
    poses[:, :2] = poses[:, 2:4] + 0.2 * (torch.rand(count, 2, generator=random) - 0.5)
    return poses, torch.rand(count, 2, generator=random) * 2 - 1


def test_the_denoiser_is_told_four_poses() -> None:
    body = make_body()
    before, after = torch.rand(2, 3, 5), torch.rand(2, 3, 5)
    told = body.told(before, after)
    assert told.shape == (2, 3, 16) and body.width == 16 and body.pose_width == 5
    player, player_after, thing, thing_after = told.unflatten(-1, (4, 4)).unbind(-2)
    assert torch.equal(player[..., :2], before[..., :2])
    assert torch.equal(player_after[..., 2:], torch.tensor([1.0, 0.0]).expand(2, 3, 2))
    assert torch.equal(thing[..., :2], before[..., 2:4])
    assert torch.allclose(torch.atan2(thing_after[..., 3], thing_after[..., 2]), after[..., 4])


def test_a_move_tells_what_it_does_and_pushes() -> None:
    body, (poses, actions) = make_body(), some(8)
    move = body.move(None, state(poses), actions)
    assert torch.equal(move.control, body.told(poses, move.pose))
    assert move.motion.shape == (8, 2) and move.edit is None
    assert (move.pose[:, 2:] != poses[:, 2:]).any()


def test_an_untouched_thing_rests_exactly() -> None:
    """Two hundred steps around it, under a network that would throw it about."""
    body = make_body(scale=100.0)
    poses = torch.tensor([[0.5, 0.0, 0.0, -0.1, 1.0], [0.5, 0.1, 0.1, 0.1, -2.0]])
    now = state(poses)
    for number in range(200):
        angle = torch.tensor(number * 2 * math.pi / 40)
        aim = 0.65 * torch.stack([angle.cos(), angle.sin()]).expand(2, 2)
        move = body.move(None, now, aim)
        now = state(move.pose, move.motion)
    assert torch.equal(now.pose[:, 2:], poses[:, 2:])
    assert (now.pose[:, :2] - poses[:, :2]).abs().max() > 0.1


def test_a_batch_is_its_environments() -> None:
    body, (poses, actions) = make_body(), some(3)
    motion = 0.01 * torch.randn(3, 2)
    whole = body.move(None, state(poses, motion), actions)
    for i in range(3):
        one = body.move(None, state(poses[i : i + 1], motion[i : i + 1]), actions[i : i + 1])
        for a, b in zip(one[:3], whole[:3], strict=True):
            assert torch.allclose(a[0], b[i], atol=1e-5)


def test_the_player_comes_to_its_aim_and_coasts_as_it_did() -> None:
    """Motion from given poses is the motion of a body that has moved there itself."""
    body, (poses, actions) = make_body(), some(4)
    motion, passed = torch.zeros(4, 2), [poses]
    for _ in range(30):
        pose, motion = body.step(passed[-1], motion, actions)
        passed.append(pose)
        given = body.start(torch.stack(passed[-2:], 1), torch.stack([actions] * 2, 1))
        assert torch.allclose(given, motion, atol=1e-6)
    assert torch.allclose(passed[-1][:, :2], actions, atol=1e-3)
    assert not body.start(poses[:, None], actions[:, None]).any()


def test_the_body_that_was_saved_is_built_again() -> None:
    body, (poses, actions) = make_body(), some(5)
    again = build_body("push", body.config(), body.tensors())
    assert isinstance(again, PushBody) and again.shape == CONFIG
    one, other = (b.move(None, state(poses), actions) for b in (body, again))
    assert torch.equal(one.pose, other.pose)


def test_a_mirror_and_a_turn_change_no_touch() -> None:
    boxes = SCENE.boxes
    outline = Outline(boxes, torch.tensor([0.0, 40.7]), SCENE.radius, (7.0, 504.0))
    places = torch.randn(50, 2) * 60 + torch.tensor([0.0, 50.0])
    gap, normal, lever = outline.disc(places)
    flip = torch.tensor([-1.0, 1.0])
    other = outline.disc(places * flip)
    assert torch.allclose(gap, other[0], atol=1e-4) and torch.allclose(lever, -other[2], atol=1e-3)
    assert torch.allclose(normal * flip, other[1], atol=1e-4)
    at, angle = torch.rand(50, 2) * 400 + 50, torch.randn(50)
    gaps, arms = outline.wall(at, angle)
    quarter = turned(at - 255.5, torch.tensor(math.pi / 2)) + 255.5
    shifted = outline.wall(quarter, angle + math.pi / 2)
    assert torch.allclose(shifted[0], gaps.roll(1, 1), atol=1e-3)
    assert torch.allclose(shifted[1], arms.roll(1, 1), atol=1e-2)


def test_the_hull_leaves_out_what_lies_within() -> None:
    assert len(hull(SCENE.boxes)) == 6 and (15.0, 0.0) not in hull(SCENE.boxes)
    assert Scene.middle(SCENE) == pytest.approx([0.0, 40.714], abs=0.01)


def test_poses_are_read_from_what_the_game_draws() -> None:
    """In the median within half a pixel of 512 and .3 degrees; a picture's pixel is 5.3."""
    pytest.importorskip("gym_pusht")
    from nfd_gym.games.pusht.env import PushTEnv
    from nfd_gym.games.pusht.pictures import SCENE as DRAWN
    from nfd_gym.games.pusht.players import random_state

    env, random = PushTEnv(), np.random.default_rng(0)
    states = np.stack([random_state(random) for _ in range(30)])
    frames = np.stack([env.reset(options={"state": each})[0] for each in states])
    body = PushBody(replace(PUSH, scene=DRAWN))
    poses = body.read(torch.from_numpy(frames).unflatten(0, (3, 10)), torch.zeros(3, 10, 2))
    assert poses.shape == (3, 10, 5) and poses.dtype == torch.float32 and body.reads
    found = poses.flatten(0, 1).double().numpy()
    apart = np.abs((found[:, :4] + 1) * 256 - states[:, :4])
    angle = np.degrees(np.abs((found[:, 4] - states[:, 4] + np.pi) % (2 * np.pi) - np.pi))
    assert np.median(np.hypot(apart[:, 0], apart[:, 1])) < 0.5 > np.median(apart[:, 2:].max(1))
    assert np.median(angle) < 0.3 and angle.max() < 1.0
