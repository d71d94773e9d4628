"""Reward heads: labels, the choice of frames, scoring, and a whole training on a tiny recording."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nfd_gym.actions import KeysAndMouse
from nfd_gym.data import Clip, Event
from nfd_gym.data.clip import event_flags
from nfd_gym.model.denoiser import Denoiser
from nfd_gym.model.heads import HeadsConfig
from nfd_gym.model.tokenizer import Tokenizer
from nfd_gym.presets import PRESETS
from nfd_gym.train import heads_score, heads_step
from nfd_gym.train.heads_data import Choice, choose, label, looks
from nfd_gym.world import WorldModel

CONFIG = HeadsConfig()
ATTACK = 1  # its place in the action vector


def flags_at(count: int, **frames: list[int]) -> dict[str, np.ndarray]:
    flags = {event: np.zeros(count, bool) for event in CONFIG.events}
    for event, where in frames.items():
        flags[event][where] = True
    return flags


def test_labels_come_one_frame_late_and_leave_the_neighbours_open() -> None:
    target, weight = label(flags_at(20, dig=[10]), CONFIG, before=4)
    dig, place, chop = target.T
    assert np.flatnonzero(dig).tolist() == [11]
    assert np.flatnonzero(weight[:, 0] == 0).tolist() == [10, 12]
    assert not place.any() and weight[:, 1].all()
    assert not chop.any() and np.flatnonzero(weight[:, 2]).tolist() == list(range(6, 12))


def test_a_chop_labels_all_frames_in_which_the_tree_is_seen() -> None:
    target, weight = label(flags_at(30, dig=[3, 20], chop=[20]), CONFIG, before=5)
    assert np.flatnonzero(target[:, 2]).tolist() == list(range(15, 22))
    assert np.flatnonzero(weight[:, 2]).tolist() == [*range(5), *range(15, 22)]


def test_digs_in_a_row_are_all_positive() -> None:
    """Two digs 2 frames apart: the open neighbour of one must not erase the other."""
    target, weight = label(flags_at(20, dig=[5, 6, 8, 19]), CONFIG, before=2)
    assert np.flatnonzero(target[:, 0]).tolist() == [6, 7, 9]
    assert weight[[6, 7, 9], 0].all()


def test_choice_keeps_events_and_prefers_frames_with_the_same_key() -> None:
    random = np.random.default_rng(0)
    actions = np.zeros((4000, 25), np.float32)
    actions[1000:2000, ATTACK] = 1
    choice = Choice(near=0.5, far=0.1, lately=6)
    chosen = choose(flags_at(4000, dig=[1500]), actions, choice, random)
    assert set(range(1496, 1503)) <= set(chosen.tolist())
    assert 0 not in chosen
    held = ((chosen >= 1000) & (chosen < 2005)).sum() / 1005  # and just let go
    rest = ((chosen < 1000) | (chosen >= 2005)).sum() / 2995
    assert held == pytest.approx(0.5, abs=0.05) and rest == pytest.approx(0.1, abs=0.02)


def test_a_frame_is_judged_by_the_last_ones_and_before_the_first_is_the_first() -> None:
    seen = looks(np.array([0, 2, 9]), HeadsConfig(frames=4))
    assert seen.tolist() == [[0, 0, 0, 0], [0, 0, 1, 2], [6, 7, 8, 9]]


def test_a_disguise_is_one_for_all_frames_and_keeps_a_trees_colour() -> None:
    """What stands still stands still in every disguise, and grey is not mixed up with green."""
    still = torch.rand(8, 1, 3, 16, 16).expand(8, 3, 3, 16, 16) * 2 - 1
    moving, coloured = heads_step.disguised(still, 0.0, torch.Generator().manual_seed(0))
    for seen in (moving, coloured):
        assert torch.allclose(seen[:, :1].expand_as(seen), seen) and not torch.equal(seen, still)
    green = torch.tensor([-0.5, 0.8, -0.5])[None, None, :, None, None].expand(64, 3, 3, 16, 16)
    moving, coloured = heads_step.disguised(green, 0.0, torch.Generator().manual_seed(0))
    assert (coloured.argmax(2) == 1).all() and not (moving.argmax(2) == 1).all()


def test_matching_is_one_to_one_and_within_the_tolerance() -> None:
    assert heads_score.match(np.array([10, 11]), np.array([10]), 2) == 1
    assert heads_score.match(np.array([10]), np.array([10, 11]), 2) == 1
    assert heads_score.match(np.array([10, 20, 30]), np.array([12, 23, 28]), 2) == 2
    assert heads_score.match(np.array([], int), np.array([3]), 2) == 0


def test_scores_count_rises_not_frames() -> None:
    belief = np.zeros(50, bool)
    belief[[11, 12, 13, 30]] = True  # one event seen for three frames, one false alarm
    true = np.zeros(50, bool)
    true[[10, 40]] = True
    out = heads_score.counts([belief], [true], delay=1, tolerance=2)
    assert (out["precision"], out["recall"], out["found"], out["logged"]) == (0.5, 0.5, 2, 2)


def test_best_offsets_find_the_gap_between_events_and_the_rest() -> None:
    random = np.random.default_rng(0)
    raw = torch.full((400, 3), -1.0) + 0.5 * torch.from_numpy(random.random((400, 3))).float()
    events = np.arange(10, 400, 20)
    raw[events + 1, 0] = 3.0
    raw[events[::2] + 1, 2] = 3.0
    flags = flags_at(400, dig=events.tolist(), chop=events[::2].tolist())
    offsets = heads_score.best_offsets(CONFIG, [raw], [flags], 2)
    assert -0.5 <= offsets[0] <= 3.0 and -0.5 <= offsets[2] <= 3.0
    assert offsets[1] == 0  # no placed block at all: nothing to choose by
    scores = heads_score.score(CONFIG, offsets, [raw], [flags], 2)
    assert scores["dig"]["f1"] == 1 and scores["chop"]["f1"] == 1
    assert scores["place"]["logged"] == 0


class DigRecordings:
    """In-memory recordings: a block at the centre vanishes one frame after a dig while attack is
    held; half of the blocks are trees (red). Attack is also held without result."""

    codec = KeysAndMouse()
    fps = 20.0
    size = (32, 48)

    def __init__(self, clips: int) -> None:
        self.names = [f"clip{i}" for i in range(clips)]
        self.lengths = [120] * clips

    def read(self, index: int, start: int = 0, stop: int | None = None) -> Clip:
        random = np.random.default_rng(index)
        frames = random.integers(90, 110, (120, 32, 48, 3)).astype(np.uint8)
        actions = np.zeros((120, 25), np.float32)
        actions[random.random(120) < 0.3, ATTACK] = 1
        events = []
        for appears in range(4, 110, 12):
            dug, tree = appears + 6, bool(random.random() < 0.5)
            actions[dug - 2 : dug + 2, ATTACK] = 1
            colour = (230, 30, 30) if tree else (30, 200, 230)
            frames[appears : dug + 1, 8:24, 16:32] = colour
            name = "default:tree" if tree else "default:dirt"
            events.append(Event(dug, "dig", name))
        return Clip(frames, actions, events=tuple(events), name=self.names[index])


def test_training_tells_digs_from_chops_and_stores_honest_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    source = DigRecordings(8)
    tokenizer = Tokenizer(PRESETS["micro"].tokenizer)
    pixels = torch.from_numpy(source.read(0).frames).movedim(-1, 1).float() / 127.5 - 1
    tokenizer.init_pca(pixels)
    world = WorldModel(
        name="digs", codec=source.codec, tokenizer=tokenizer,
        denoiser=Denoiser(PRESETS["micro"].denoiser),
    )  # fmt: skip
    world.save(tmp_path / "world")
    sources = {"data": source, "val": DigRecordings(2)}
    monkeypatch.setattr(heads_step, "open_source", lambda path: sources[path.name])
    parser = argparse.ArgumentParser()
    heads_step.add_arguments(parser)
    words = ["--world", str(tmp_path / "world"), "--data", "data", "--val", "val"]
    sets = ["--set", "steps=90", "--set", "batch=48", "--set", "held_out=4"]
    assert heads_step.main(parser.parse_args(words + sets)) == 0
    loaded = WorldModel.load(tmp_path / "world")
    assert loaded.heads is not None
    scores = json.loads(json.dumps(loaded.provenance["heads"]))["val"]
    assert scores["dig"]["logged"] == 18 and scores["dig"]["f1"] > 0.9
    assert scores["chop"]["f1"] > 0.9
    assert '"f1"' in capsys.readouterr().out


def test_recordings_without_events_are_refused_by_name() -> None:
    flags = event_flags((), 10)
    target, weight = label(flags, CONFIG, 6)
    examples = heads_step.Examples(
        torch.zeros(10, 64, 64, 3, dtype=torch.uint8), torch.zeros(10, 4, dtype=torch.long),
        torch.zeros(10, 25), torch.from_numpy(target), torch.from_numpy(weight),
    )  # fmt: skip
    with pytest.raises(ValueError, match="no event of any kind"):
        heads_step.fit(CONFIG, examples, heads_step.HeadsRun(steps=1), "cpu")
