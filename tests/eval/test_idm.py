"""The inverse-dynamics judge: its classes, its scores, its file."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nfd_gym.eval.fit_idm import fit
from nfd_gym.eval.following import following
from nfd_gym.eval.idm import (
    AFTER,
    BEFORE,
    CLASSES,
    SIZE,
    InverseDynamics,
    Score,
    follow,
    labels,
    score,
    small,
)
from nfd_gym.eval.rollout import Excerpt
from nfd_gym.keyboard import KEY_INDEX, PITCH, YAW


def test_classes_of_actions() -> None:
    actions = np.zeros((4, 25), np.float32)
    actions[1, [KEY_INDEX["forward"], KEY_INDEX["attack"]]] = 1
    actions[2, [KEY_INDEX["forward"], KEY_INDEX["back"], KEY_INDEX["sneak"]]] = 1
    actions[3, [PITCH, YAW]] = -1.0, 0.4
    told = labels(actions)
    assert told["forward/back"].tolist() == [0, 1, 0, 0], "both pressed is none"
    assert told["sprint/sneak"].tolist() == [0, 0, 2, 0]
    assert told["attack"].tolist() == [0, 1, 0, 0]
    assert told["camera pitch"].tolist() == [5, 5, 5, 0]
    assert told["camera yaw"].tolist() == [5, 5, 5, 7]


def test_score_of_a_known_confusion() -> None:
    """8 told 0 (6 read right), 2 told 1 (1 read right)."""
    told = np.array([0] * 8 + [1] * 2)
    read = np.array([0] * 6 + [1] * 2 + [0, 1])
    got = score(told, read)
    assert got is not None
    p0, r0, p1, r1 = 6 / 7, 6 / 8, 1 / 3, 1 / 2
    f = [2 * p0 * r0 / (p0 + r0), 2 * p1 * r1 / (p1 + r1)]
    expected = Score(0.7, (p0 + p1) / 2, (r0 + r1) / 2, sum(f) / 2)
    for name in ("micro", "precision", "recall", "f1"):
        assert getattr(got, name) == pytest.approx(getattr(expected, name))


def test_a_task_with_one_class_is_left_out() -> None:
    """Always reading "none" is right where nothing was pressed; that is no skill."""
    told = labels(np.zeros((6, 25), np.float32))
    told["jump"][2] = 1
    result = follow(told, told)
    assert list(result["tasks"]) == ["jump"]
    assert result["mean"]["f1"] == 1.0 and result["camera_bin_error"] == 0.0


def test_pictures_are_reduced_by_averaging() -> None:
    checker = np.indices((112, 192)).sum(0) % 2 * 200
    frames = np.repeat(checker[None, ..., None], 3, axis=-1).astype(np.uint8)
    assert small(frames).shape == (1, *SIZE)
    assert (small(frames) == 100).all()


def test_a_saved_judge_reads_the_same(tmp_path: Path) -> None:
    torch_random = torch.Generator().manual_seed(0)
    judge = InverseDynamics(width=24).eval()
    with torch.no_grad():
        for value in judge.parameters():
            value.copy_((0.2 * torch.randn(value.shape, generator=torch_random)).half())
    path = tmp_path / "judge.safetensors"
    judge.save(path)
    video = np.random.default_rng(0).integers(0, 256, (20, 112, 192, 3)).astype(np.uint8)
    ours, theirs = judge.read(video), InverseDynamics.load(path).read(video)
    for task in CLASSES:
        assert len(ours[task]) == 20 - BEFORE - AFTER
        np.testing.assert_array_equal(ours[task], theirs[task])


def test_a_damaged_judge_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "judge.safetensors"
    path.write_bytes(b"12345678 rubbish")
    with pytest.raises(ValueError, match=r"judge\.safetensors is not an inverse-dynamics judge"):
        InverseDynamics.load(path)


def test_the_judge_learns_what_it_is_shown() -> None:
    """Whoever jumps has a white square in the picture; the seed decides the weights."""
    rng = np.random.default_rng(0)
    actions = np.zeros((160, 25), np.float32)
    actions[:, KEY_INDEX["jump"]] = np.repeat(rng.integers(0, 2, 20), 8)
    video = rng.integers(80, 120, (160, *SIZE)).astype(np.uint8)
    video[actions[:, KEY_INDEX["jump"]] > 0, 16:40, 32:64] = 255
    judge = fit([video], [labels(actions)], steps=25, seed=0, batch=16)
    told = labels(actions[BEFORE : 160 - AFTER])["jump"]
    read = judge.read(np.repeat(video[..., None], 3, axis=-1))["jump"]
    assert (read == told).mean() > 0.85, "a blind guess is right half of the time"
    again = fit([video], [labels(actions)], steps=2, seed=3, batch=4)
    same = fit([video], [labels(actions)], steps=2, seed=3, batch=4)
    for ours, theirs in zip(again.parameters(), same.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


class Oracle(InverseDynamics):
    """Reads the class off the brightness, so that dream and recording can be told apart."""

    def read(self, video: np.ndarray) -> dict[str, np.ndarray]:
        shown = (video[BEFORE : len(video) - AFTER, 0, 0, 0] > 100).astype(np.int64)
        return {task: shown if task == "jump" else 0 * shown for task in CLASSES}


def test_following_compares_the_dream_and_the_recording_with_the_same_actions() -> None:
    """The recording shows every jump, the dream never does: recall 1 against 0 for jumping."""
    rng = np.random.default_rng(1)
    actions = np.zeros((3, 20, 25), np.float32)
    actions[..., KEY_INDEX["jump"]] = rng.integers(0, 2, (3, 20))
    light = 200 * actions[..., KEY_INDEX["jump"], None, None, None]
    frames = np.broadcast_to(light, (3, 20, 4, 4, 3))
    excerpt = Excerpt(frames.astype(np.uint8), actions, None, 5, ("a", "b", "c"))
    result = following(Oracle(width=24), excerpt, np.zeros_like(excerpt.real))
    assert result["real"]["tasks"]["jump"]["f1"] == 1.0
    told = actions[:, 5 : 20 - AFTER, KEY_INDEX["jump"]]
    assert result["world"]["frames"] == told.size == 3 * 13
    assert result["world"]["tasks"]["jump"]["micro"] == pytest.approx(1 - told.mean())
