"""Laws of what stays: equal replays score best, errors are seen where they are, drift is local."""

import numpy as np
import pytest

from nfd_gym.actions import Camera, KeysAndMouse
from nfd_gym.data.clip import Clip, Event
from nfd_gym.eval.report import distances
from nfd_gym.eval.staying import NEAR, REST, Replay, back, cubes, drift, edited_region, free_runs

COUNT, SIZE = 40, (32, 48)
CELL = (0, 0, 4)  # straight ahead


def run(change=lambda frames: frames, off=0.0, edits=True, seed=0) -> Replay:
    """A replay beside its own recording, changed; the eye `off` metres aside."""
    random = np.random.default_rng(seed)
    frames = random.integers(0, 256, (COUNT, *SIZE, 3), dtype=np.uint8)
    pose = np.zeros((COUNT, 5), np.float32)
    clip = Clip(
        frames=frames,
        actions=np.stack([KeysAndMouse("minerl", Camera(72.0)).vector()] * COUNT),
        depth=np.full((COUNT, *SIZE), 4096, np.uint16),
        pose=pose,
        events=(Event(10, "dig", "grass", CELL),),
    )
    made = np.zeros((COUNT, 4), np.int64)
    if edits:
        made[11] = (1, *CELL)
    there = pose + np.float32([off, 0, 0, 0, 0])
    near = np.full((COUNT, *SIZE), 0.25, np.float32)
    return Replay(clip, change(frames.copy()), near, there, made, np.zeros(COUNT - 1, np.float32))


def test_an_equal_replay_is_at_the_cap_everywhere():
    figures = back(run())
    assert figures["back_db"] == figures["away_db"] == 60.0 and figures["pose_error_m"] == 0.0


def test_back_measures_the_end_and_away_the_rest():
    def late(frames):
        frames[-REST:] = 255 - frames[-REST:]
        return frames

    figures = back(run(late))
    assert figures["back_db"] < 10 and figures["away_db"] == 60.0


def test_an_edit_is_found_at_its_cell_and_missed_without_it():
    assert edited_region(run())["same_edits"] == 1.0
    assert edited_region(run(edits=False))["same_edits"] == 0.0


def test_the_edited_region_sees_errors_inside_the_cube_only():
    mask = cubes(np.zeros(5, np.float32), {CELL}, *SIZE)
    assert 0.01 < mask.mean() < 0.2 and mask[SIZE[0] // 2, SIZE[1] // 2]

    def paint(where):
        def change(frames):
            frames[:, where] = 255 - frames[:, where]
            return frames

        return change

    assert edited_region(run(paint(mask)))["at_end_db"] < 10
    assert edited_region(run(paint(~mask)))["at_end_db"] >= 60


def test_drift_is_the_largest_change_of_a_region():
    still = np.full((COUNT, *SIZE, 3), 100, np.uint8)

    def corner(_):
        frames = still.copy()
        frames[-1, :8, :8] = 130
        return frames

    assert drift(run(lambda _: still))["largest_drift"] == 0.0
    assert drift(run(corner))["largest_drift"] == pytest.approx(30.0, abs=0.01)


def test_free_runs_tell_runs_whose_eye_has_left_the_games():
    ((frame, figures),) = free_runs([run(), run(off=2 * NEAR)], at=(16, 500))
    assert frame == 16 and figures["runs"] == 2.0 and figures["pose_agrees"] == 0.5
    assert figures["db_where_pose_agrees"] == 60.0 and figures["edge_ratio"] == 1.0


def test_a_dream_like_the_game_is_as_far_from_other_recordings_as_the_game(camera_world):
    same, recorded = distances(camera_world, [run(seed=seed) for seed in range(4)], 1, 30)
    assert same == recorded
    grey = [run(lambda frames: frames // 4 + 96, seed=seed) for seed in range(4)]
    assert distances(camera_world, grey, 1, 30)[0] > 2 * recorded
    assert np.isnan(distances(camera_world, grey[:3], 1, 30)).all()
