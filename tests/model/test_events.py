"""Events: drawn as often as they are likely, from noise that tells the denoiser nothing of them."""

import json

import numpy as np
import pytest
import torch

from nfd_gym.eval.returning import LastFrameOnly
from nfd_gym.memory.tiles import TileMemory, TileSizes
from nfd_gym.model.events import FALLS, RISES, STAYS, Events, told, uniform
from nfd_gym.model.steps import StepBody, StepConfig
from nfd_gym.model.tokenizer import Tokenizer, TokenizerConfig
from nfd_gym.train.stages import events, sources, steps
from nfd_gym.world.state import WorldState
from nfd_gym.world.step import no_edit

SIZES = TileSizes(tile=4, across=3, down=2, side=8)
CONFIG = StepConfig(
    tile=4, looks=((1, 1),), steps=((1, -1, 0), (2, 1, 0)), actions=3, hidden=16, day=20, patches=9,
    events=2, sees=(4, 6), channels=48, below=3, event_hidden=32,
)  # fmt: skip


def test_noise_gives_uniform_numbers_that_it_does_not_give_away() -> None:
    normal = torch.randn(4000, 5, 16, generator=torch.Generator().manual_seed(0))
    drawn = uniform(normal)
    assert drawn.shape == (4000, 5) and 0 <= drawn.min() and drawn.max() < 1
    parts = torch.histc(drawn.float(), 10, 0, 1) / drawn.numel()
    assert (parts - 0.1).abs().max() < 0.01
    rare = normal[drawn < 0.1]  # what the denoiser sees where something rare happens
    assert rare.mean(0).abs().max() < 0.1 and (rare.std(0) - 1).abs().max() < 0.1
    assert (rare.sum(-1).abs().mean() - normal.sum(-1).abs().mean()).abs() < 0.15


def test_events_happen_as_often_as_they_are_likely() -> None:
    net, chance = Events(3, 2, 8), torch.tensor([[0.09, 0.89, 0.02], [0.3, 0.1, 0.6]])
    with torch.no_grad():
        net.net[-1].weight.zero_()
        net.net[-1].bias.copy_(chance.log().flatten())
    noise = torch.randn(4000, 5, 16, generator=torch.Generator().manual_seed(1))
    drawn = net.drawn(torch.zeros(4000, 3), noise)
    assert torch.equal(drawn, net.drawn(torch.zeros(4000, 3), noise))
    for number, sign in enumerate((-1, 0, 1)):
        assert ((drawn == sign).float().mean(0) - chance[:, number]).abs().max() < 0.025


@pytest.fixture
def code() -> Tokenizer:
    """A code that loses nothing."""
    found = Tokenizer(TokenizerConfig(height=12, width=12, patch=4, channels=48))
    return found.eval().requires_grad_(False)


def recorded(folder, rows: int = 1200) -> None:
    """Frames of 3x3 tiles, their last row below the map. Number 0 rises on the first action where
    tile 4 is light, number 1 falls in a quarter of all frames; both change tile 6."""
    random = np.random.default_rng(0)
    action = random.integers(0, 3, rows)
    light = random.random(rows) < 0.5
    happens = np.zeros((rows, 2), np.int8)
    happens[1:, 0] = (action[1:] == 0) & light[:-1]
    happens[1:, 1] = -(random.random(rows - 1) < 0.25).astype(np.int8)
    frames = np.full((rows, 12, 12, 3), 90, np.uint8)
    frames[:, 4:8, 4:8] = np.where(light, 200, 40)[:, None, None, None]
    frames[:, 8:, :4] = (60 + 100 * (np.cumsum(happens.any(1)) % 2))[:, None, None, None]
    poses = np.column_stack([np.zeros((rows, 2)), np.arange(rows) % 20]).astype(np.float32)
    for name, array in (
        ("frames", frames), ("poses", poses), ("events", happens),
        ("actions", np.eye(3, dtype=np.float32)[action]),
    ):  # fmt: skip
        np.save(folder / f"{name}.npy", array)
    (folder / "lengths.json").write_text(json.dumps([rows]))


@pytest.mark.slow
def test_chances_are_learned_from_recordings_and_training_input_is_play_input(
    tmp_path, code, monkeypatch
) -> None:
    recorded(tmp_path)
    sources.write(tmp_path, code, SIZES)
    monkeypatch.setattr(events, "STEPS", 300)
    body = steps.fit(tmp_path, CONFIG, count=300)
    chance, happened = events.chances(tmp_path, body)
    sure = happened[:, 0] == RISES
    assert chance[sure, 0, RISES].mean() > 0.9 and chance[~sure, 0, STAYS].mean() > 0.95
    assert (chance[:, 1, FALLS].mean() - 0.25).abs() < 0.08 and chance[..., 1, RISES].max() < 0.1

    frames, poses, actions = (
        torch.from_numpy(np.load(tmp_path / f"{n}.npy")) for n in ("frames", "poses", "actions")
    )
    memory, count, empty = TileMemory(SIZES, code), 9, torch.zeros(1, 0)
    latents = code.encode_frames(frames[None, count - 1 : count], empty)[0]
    state = WorldState(
        frames[None, count - 1], empty, latents,
        poses[None, count - 1], empty,
        memory.start(frames[None, :count], torch.zeros(1, count, 0, 0), poses[None, :count, :2]),
        no_edit(actions[:1]),
    )  # fmt: skip
    noise = torch.randn(1, 9, 48, generator=torch.Generator().manual_seed(2))
    move = body.move(memory, state, actions[None, count], noise)
    rows = events.Rows(tmp_path, body)
    given = rows.inputs(np.array([count]), np.array([10_000]))
    assert body.events is not None
    likely = torch.equal(move.control[:, 4:], told(body.events.drawn(given, noise)))
    assert likely and body.width == move.control.shape[1] == 4 + 1 + 2
    assert not body.move(memory, state, actions[None, count]).control[:, 4:].any()
    control = LastFrameOnly(memory)  # the control of `eval` has a body with events, too
    assert torch.equal(body.move(control, state, actions[None, count], noise).control, move.control)
    again = StepBody.build(json.loads(json.dumps(body.config())), body.tensors())
    assert torch.equal(again.move(memory, state, actions[None, count], noise).control, move.control)
