"""Laws of the body: turns are exact, space has no preferred quarter, slots follow their keys."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.model.eye import BodyError, EyeBody, turn
from nfd_gym.model.legs import turned_by, unturn
from nfd_gym.train.recipes.island import BODY

CODEC = KeysAndMouse("minerl", Camera(72.0))


def action(*keys: str, right: float = 0.0, down: float = 0.0) -> torch.Tensor:
    return torch.from_numpy(CODEC.vector(keys, pitch=down, yaw=right))[None]


class Blocks:
    """A memory whose solid cells are a function of the place, and which may be turned."""

    def __init__(self, quarters: int = 0) -> None:
        self.quarters = torch.tensor([quarters])

    def solid(self, state, cells):
        home = turned_by(cells.float(), self.quarters.expand(len(cells))).round().long()
        return (home @ torch.tensor([7, 3, 5])) % 4 == 0

    def grounded(self, state, cells):
        return torch.ones(len(cells), dtype=torch.bool)


def body() -> EyeBody:
    torch.manual_seed(0)
    return EyeBody(BODY).eval().requires_grad_(False)


def test_a_turn_is_the_commanded_angle_and_the_pitch_stops_before_the_pole():
    pose = torch.tensor([[1.0, 2.0, 3.0, 170.0, 80.0]])
    after = turn(pose, body().degrees(action(right=15.0, down=4.5)))
    assert torch.allclose(after, torch.tensor([[1.0, 2.0, 3.0, 185.0, 84.5]]), atol=1e-3)
    assert float(turn(pose, torch.tensor([[60.0, 0.0]]))[0, 4]) == 89.5


def test_a_world_turned_by_quarters_moves_the_body_likewise():
    net, pose = body(), torch.tensor([[3.0, 5.625, -2.0, 20.0, 0.0]])
    motion = torch.randn(1, 20) * 0.1
    motion[:, 6:] = 0.5
    start, quarter = net.inputs(Blocks(), None, pose, motion, action("forward"))
    step = unturn(net.legs(start), quarter)
    for k in (1, 2, 3):
        by = torch.tensor([k])
        there = torch.cat(
            [unturn(pose[:, :3], by), pose[:, 3:] + torch.tensor([[90.0 * k, 0.0]])], 1
        )
        old = net.motion(motion)
        turned = old._replace(
            last=unturn(old.last, by), before=unturn(old.before, by), yaw=old.yaw + 90.0 * k
        )
        turned = torch.cat(turned, dim=1)
        inputs, quarter = net.inputs(Blocks(k), None, there, turned, action("forward"))
        assert torch.allclose(inputs, start, atol=1e-4)
        again = unturn(net.legs(inputs), quarter)
        assert torch.allclose(again, unturn(step, by), atol=1e-4)


def test_hotbar_keys_choose_the_slot_and_events_reset_their_timer():
    net, pose = body(), torch.zeros(1, 5)
    motion = net.start(torch.zeros(1, 1, 5), action()[None])
    motion, control = net.after(pose, pose, motion, action("hotbar.3"), torch.tensor([0]))
    assert float(net.motion(motion).slot) == 2 and control[0, 5:8].tolist() == [0.0, 0.0, 1.0]
    motion, control = net.after(pose, pose, motion, action("use"), torch.tensor([2]))
    assert motion[0, 6:8].tolist() == [1.0, 0.0] and control[0, 8:].tolist() == [0.0, 0.0, 1.0]
    assert float(net.motion(motion).slot) == 2


def test_trace_agrees_with_ticks_taken_one_by_one():
    net, random = body(), np.random.default_rng(0)
    poses = torch.from_numpy(random.normal(size=(6, 5)).astype(np.float32))
    actions = torch.cat([action("use", f"hotbar.{1 + i % 3}") for i in range(6)])
    events = torch.tensor([0, 2, 0, 1, 0, 2])
    motions, controls = net.trace(poses, actions, events)
    motion = net.start(poses[None, :1], actions[None, :1])
    for t in range(1, 6):
        motion, control = net.after(
            poses[t : t + 1], poses[t - 1 : t], motion, actions[t : t + 1], events[t : t + 1]
        )
        assert torch.equal(motions[t : t + 1], motion) and torch.equal(controls[t : t + 1], control)


def test_build_inverts_config_and_tensors():
    net = body()
    again = EyeBody.build(net.config(), net.tensors())
    assert all(
        torch.equal(a, b)
        for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_every_block_kind_needs_a_column_that_chooses_it():
    with pytest.raises(BodyError, match="choose needs a column"):
        replace(BODY, kinds=("brick",))


def test_standing_does_not_creep():
    """Displacements below the dead zone are none, however many ticks they come."""
    net = body()
    torch.nn.init.zeros_(net.legs[-1].weight)
    net.legs[-1].bias.data = torch.tensor([0.01, -0.015, 0.012])  # of STEP: 2 to 3 mm

    class Empty(Blocks):
        def solid(self, state, cells):
            return cells[..., 1] == -2  # ground under the feet

        def pointed(self, state, pose, asked):
            far = torch.full((len(pose),), 99.0)
            return far, torch.zeros(len(pose), 3).long(), torch.zeros(len(pose), 3).long()

    class State:
        pose, motion, memory = torch.tensor([[0.0, 0.125, 0.0, 30.0, 0.0]]), None, None

    state = State()
    state.motion = net.start(state.pose[:, None], action()[None])
    for _ in range(50):
        moved = net.move(Empty(), state, action())
        assert torch.equal(moved.pose, state.pose)
        state.motion = moved.motion


def test_the_eye_stays_where_memory_knows_a_ground():
    """Beyond what was filmed the world ends, as at a fence; who is beyond it may come back."""
    net = body()
    torch.nn.init.zeros_(net.legs[-1].weight)
    net.legs[-1].bias.data = torch.tensor([0.0, 0.0, 1.0])  # a step along the nearest axis

    class Plate(Blocks):
        def solid(self, state, cells):
            return (cells[..., 1] == -2) & (cells[..., 2] <= 1)

        def grounded(self, state, cells):
            return cells[:, 2] <= 1

    class State:
        pose, motion, memory = torch.tensor([[0.0, 0.125, 0.0, 0.0, 0.0]]), None, None

    state = State()
    state.motion = net.start(state.pose[:, None], action()[None])
    for _ in range(20):
        moved = net.move(Plate(), state, action("forward"))
        state.pose, state.motion = moved.pose, moved.motion
    assert 1.0 < float(state.pose[0, 2]) < 1.5 and abs(float(state.pose[0, 1]) - 0.125) < 1e-4
