"""What was seen in a direction is found there again, whatever was looked at meanwhile."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nfd_gym.actions import Camera
from nfd_gym.keyboard import LOG_SCALE
from nfd_gym.model.hand import BELOW, hand
from nfd_gym.model.memory import imagine, look_round, note, panorama, recall, remember
from tests.model.test_warp import FOV, HEIGHT, WIDTH, render

CAMERA, SIZE = Camera(FOV), (HEIGHT, WIDTH)
HANDLESS = slice(0, int(BELOW * HEIGHT))


def seen(yaw: float, pitch: float) -> Tensor:
    """A view of a distant texture, as bytes (1,3,H,W)."""
    return ((render(yaw, pitch) + 1) * 127.5).round().to(torch.uint8)


def noise(lanes: int = 1) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (lanes, 3, *SIZE), generator=random, dtype=torch.uint8)


def turns(*degrees: float) -> Tensor:
    """Actions (B,25) that turn right by so much."""
    actions = torch.zeros(len(degrees), 25)
    by = torch.tensor(degrees)
    actions[:, -1] = by.sign() * by.abs().log1p() / LOG_SCALE
    return actions


def angles(*degrees: float) -> Tensor:
    return torch.tensor(degrees)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.floats(0, 360), st.floats(-70, 70), st.floats(-30, 30), st.floats(-15, 15))
def test_another_view_finds_what_this_one_saw(
    yaw: float, pitch: float, dyaw: float, dpitch: float
) -> None:
    empty = imagine(torch.zeros(1, 3, *SIZE, dtype=torch.uint8), angles(pitch), FOV)
    memory = note(empty, seen(yaw, pitch), angles(yaw), angles(pitch), FOV)
    there = recall(memory, angles(yaw + dyaw), angles(pitch + dpitch), SIZE, FOV)
    known = (there > 0).any(1, keepdim=True).expand_as(there)
    assert known.float().mean() > 0.4
    apart = (there.float() - seen(yaw + dyaw, pitch + dpitch)).abs()[known]
    assert apart.mean() < 4  # of 255: a cell is as wide as a pixel
    # There is hardly a hole in the middle, and none where things leave the view.
    again = (recall(memory, angles(yaw), angles(pitch), SIZE, FOV) > 0).any(1)[0]
    assert again[HANDLESS].float().mean() > 0.99
    beside = recall(memory, angles(yaw + 60.0), angles(pitch), SIZE, FOV)
    if abs(pitch) < 20:
        assert (beside > 0).any(1)[:, 40:60, 10:30].all()


def test_a_whole_turn_comes_back_to_where_it_began() -> None:
    """Each view takes from memory what turns into it, and is noted in its turn."""
    picture, pitch, yaw = seen(0.0, 10.0), angles(10.0), angles(0.0)
    memory, around = imagine(picture, pitch, FOV), picture
    for _ in range(24):
        memory, yaw, around = look_round(memory, around, yaw, pitch, turns(15.0), CAMERA)
    assert (yaw - 360 * (yaw > 180)).abs() < 1e-3
    apart = (around.float() - picture).abs()
    assert apart[:, :, HANDLESS].mean() < 6
    opposite = recall(memory, angles(180.0), pitch, SIZE, FOV)
    assert (opposite.float() - picture).abs().mean() > 3 * apart.mean()


def test_the_hand_is_not_remembered() -> None:
    picture = torch.zeros(1, 3, *SIZE, dtype=torch.uint8)
    picture[:, :, hand(*SIZE)] = 255
    zero = torch.zeros(1)
    assert not imagine(picture, zero, FOV).any()
    assert not note(imagine(picture, zero, FOV), picture, zero, zero, FOV).any()


def test_lanes_look_round_for_themselves() -> None:
    pixels, pitch, yaw = noise(3), angles(0.0, 30.0, -20.0), angles(0.0, 90.0, 359.0)
    memory, actions = imagine(pixels, pitch, FOV), turns(10.0, 0.0, 5.0)
    noted, after, around = look_round(memory, pixels, yaw, pitch, actions, CAMERA)
    assert torch.equal(noted[1], memory[1]) and torch.equal(around[1], pixels[1])
    torch.testing.assert_close(after, angles(10.0, 90.0, 4.0), atol=1e-3, rtol=0)
    for i in range(3):
        one = slice(i, i + 1)
        alone = look_round(memory[one], pixels[one], yaw[one], pitch[one], actions[one], CAMERA)
        assert torch.equal(alone[0], noted[one]) and torch.equal(alone[2], around[one])


def test_what_a_lane_notes_does_not_hang_on_threads() -> None:
    pixels, pitch, yaw, threads = noise(2), angles(5.0, 60.0), angles(0.0, 200.0), []
    before = torch.get_num_threads()
    try:
        for count in (1, 2, 2, 2):
            torch.set_num_threads(count)
            threads.append(note(imagine(pixels, pitch, FOV), pixels, yaw, pitch, FOV))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(threads[0], other) for other in threads[1:])


@pytest.mark.parametrize("pitch", [-60.0, 0.0, 45.0])
def test_what_was_never_seen_is_made_of_what_was(pitch: float) -> None:
    picture = seen(0.0, pitch)
    everything = imagine(picture, angles(pitch), FOV)[0]
    colours = set(map(tuple, picture[0].flatten(1).T.tolist()))
    assert set(map(tuple, everything.tolist())) <= colours
    ahead = recall(everything[None], angles(0.0), angles(pitch), SIZE, FOV)
    assert (ahead.float() - picture)[..., 20:70, 50:140].abs().mean() < 3


def test_above_the_view_the_sky_goes_on() -> None:
    picture = torch.full((1, 3, *SIZE), 10, dtype=torch.uint8)
    picture[:, :, :28] = 200
    memory = imagine(picture, torch.zeros(1), FOV)
    up = recall(memory, torch.zeros(1), angles(-45.0), SIZE, FOV)
    assert (up[:, :, :60, 60:130] == 200).all()
    for pitch in (40.0, 70.0, 89.0):  # and below it the ground
        down = recall(memory, torch.zeros(1), angles(pitch), SIZE, FOV)
        assert (down == 10).all()


def test_a_clip_is_remembered_to_its_end() -> None:
    views = [0.0, 12.0, 24.0, 36.0, 48.0, 60.0, 72.0, 84.0, 96.0]
    clip = torch.stack([seen(yaw, 0.0) for yaw in views], dim=1)
    actions = turns(*[0.0, *[12.0] * 8])[None]
    memory, yaw, around = remember(clip, actions, torch.zeros(1, 9), CAMERA)
    assert around.shape[:2] == (1, 8)
    torch.testing.assert_close(yaw, angles(96.0), atol=1e-3, rtol=0)
    back = recall(memory, angles(0.0), torch.zeros(1), SIZE, FOV)
    assert (back.float() - seen(0.0, 0.0)).abs()[:, :, HANDLESS].mean() < 4


def test_a_panorama_shows_each_direction_at_its_place() -> None:
    memory = imagine(torch.zeros(1, 3, *SIZE, dtype=torch.uint8), torch.zeros(1), FOV)
    for yaw in (0.0, 90.0, 180.0, 270.0):
        memory = note(memory, seen(yaw, 0.0), angles(yaw), torch.zeros(1), FOV)
    whole = panorama(memory)
    assert whole.shape == (1, 3, 240, 480)
    for column, yaw in ((240, 0.0), (360, 90.0), (0, 180.0), (120, 270.0)):
        there = seen(yaw, 0.0)[0, :, 56, 96].float()
        assert (whole[0, :, 120, column] - there).abs().max() < 8


def test_a_view_that_was_looked_up_before_is_the_same_view() -> None:
    """Cells are kept from the recall to the note that follows; nothing may hang on that."""
    memory = imagine(noise(2), angles(0.0, 10.0), FOV)
    for yaw, pitch in ((angles(3.0, 7.0), angles(1.0, 2.0)), (angles(7.0, 3.0), angles(1.0, 2.0))):
        whole = recall(memory, yaw, pitch, SIZE, FOV)
        for lane in range(2):
            one = slice(lane, lane + 1)
            assert torch.equal(recall(memory[one], yaw[one], pitch[one], SIZE, FOV), whole[one])
        again = note(memory, whole, yaw, pitch, FOV)
        assert torch.equal(recall(again, yaw, pitch, SIZE, FOV), whole)
