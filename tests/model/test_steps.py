"""The stepping body: a step is made where the way is free, and poses add up."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from nfd_gym.model.steps import StepBody, StepConfig
from nfd_gym.train.stages import steps
from nfd_gym.world.state import WorldState
from nfd_gym.world.step import no_edit

CONFIG = StepConfig(
    tile=4, looks=((1, 1), (0, 1), (2, 1), (1, 0), (1, 2)), actions=5, hidden=32,
    steps=((1, -1, 0), (2, 1, 0), (3, 0, -1), (4, 0, 1)),
)  # fmt: skip
STEPS = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]])


def walk(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames of 3x3 tiles, dark ones free, actions that produced them, and places."""
    random = np.random.default_rng(seed)
    world = random.random((64, 64)) < 0.3
    place, frames, actions, places = np.array([32, 32]), [], [], []
    for action in random.integers(0, 5, count):
        aim = place + STEPS[action]
        if frames and not world[tuple(aim)] and (np.abs(aim - 32) < 30).all():
            place = aim
        near = world[place[0] - 1 : place[0] + 2, place[1] - 1 : place[1] + 2].T
        frames.append(
            np.repeat(np.repeat(near * np.uint8(200), 4, 0), 4, 1)[..., None].repeat(3, -1)
        )
        actions.append(np.eye(5, dtype=np.float32)[action])
        places.append(place)
    return np.stack(frames), np.stack(actions), np.stack(places).astype(np.float32)


def fitted(tmp_path) -> tuple[StepBody, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    frames, actions, poses = walk(0, 1500)
    for name, array in (("frames", frames), ("actions", actions), ("poses", poses)):
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "lengths.json").write_text(json.dumps([1500]))
    body = steps.fit(tmp_path, CONFIG, count=600)
    assert steps.score(body, tmp_path) > 0.99
    return body, walk(1, 200)


def test_steps_succeed_where_the_way_is_free_and_poses_add_up(tmp_path) -> None:
    body, (frames, actions, places) = fitted(tmp_path)
    read = body.read(torch.from_numpy(frames)[None], torch.from_numpy(actions)[None])[0]
    assert torch.equal(read, torch.from_numpy(places - places[0]))
    rows = torch.tensor([3, 50, 120])
    flat = torch.zeros(3, 0)
    now = torch.from_numpy(places[rows])
    action = torch.from_numpy(actions[rows + 1])
    state = WorldState(torch.from_numpy(frames[rows]), flat, flat, now, flat, (), no_edit(action))
    move = body.move(None, state, action)
    assert torch.equal(move.pose, torch.from_numpy(places[rows + 1]))
    assert torch.equal(move.control, move.pose - now) and move.motion.shape == (3, 0)
    again = StepBody.build(json.loads(json.dumps(body.config())), body.tensors())
    assert torch.equal(again.move(None, state, action).pose, move.pose)


@pytest.mark.slow
def test_the_clock_runs_on_and_is_read_from_how_light_frames_are(tmp_path) -> None:
    """A day of 20 steps over tiles of many colours: dawn and dusk are told apart by two frames."""
    random, day = np.random.default_rng(0), 20
    colours = random.integers(80, 200, (40, 3, 3, 3))
    hours = np.arange(800) % day
    light = 0.55 + 0.4 * np.cos(2 * np.pi * hours / day)
    frames = (colours[np.arange(800) // 20] * light[:, None, None, None]).astype(np.uint8)
    frames = frames.repeat(4, 1).repeat(4, 2)
    poses = np.column_stack([np.zeros((800, 2)), hours]).astype(np.float32)
    actions = np.eye(5, dtype=np.float32)[random.integers(0, 5, 800)]
    for name, array in (("frames", frames), ("actions", actions), ("poses", poses)):
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "lengths.json").write_text(json.dumps([800]))
    body = steps.fit(tmp_path, replace(CONFIG, day=day, patches=9), count=600)
    given = torch.from_numpy(frames.reshape(200, 4, 12, 12, 3))
    read = body.read(given, torch.from_numpy(actions).reshape(200, 4, 5))
    wrong = (read[:, :, 2] - torch.from_numpy(poses[:, 2]).reshape(200, 4) + 10) % day - 10
    assert wrong[1:].abs().median() <= 1.0
    assert torch.equal(read[:, 1, 2], (read[:, 0, 2] + 1) % day)
    told = body.told(torch.tensor([0.0, 0.0, 4.0]), torch.tensor([1.0, 0.0, 5.0]))
    assert torch.allclose(told, torch.tensor([1.0, 0.0, 0.0, 1.0]), atol=1e-6)
