"""Laws of a session: what it shows depends on start, seeds and actions, and on nothing else."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from nfd_gym.model.heads import HeadsConfig, RewardHeads
from nfd_gym.runtime.engine import prime
from numpy.typing import NDArray

from nfd_gym.actions import KeysAndMouse
from nfd_gym.noise import noise
from nfd_gym.runtime.session import Session, levels
from nfd_gym.runtime.starts import Start, Starts
from nfd_gym.runtime.state import FORMAT, StateError
from nfd_gym.world import WorldError, WorldModel
from tests.conftest import alike, make_tiny_world

Vectors = NDArray[np.float32]


@pytest.fixture(scope="module")
def start(tiny_world: WorldModel, tiny_world_path: Path) -> Start:
    return Starts(WorldModel.load(tiny_world_path)).clip(0)


def begin(session: Session, start: Start, seed: int = 7, **more: object) -> NDArray[np.uint8]:
    lanes = session.lanes
    clip = [np.stack([part] * lanes) for part in (start.frames, start.actions, start.pitch)]
    return session.reset(*clip, seeds=seed + np.arange(lanes), **more)  # type: ignore[arg-type]


def play(session: Session, actions: Vectors) -> NDArray[np.uint8]:
    """(T, B, H, W, 3) under the same action in every lane."""
    return np.stack([session.step(np.stack([a] * session.lanes)) for a in actions])


def some_actions(world: WorldModel, count: int, seed: int = 0) -> Vectors:
    rng = np.random.default_rng(seed)
    codec, space = world.codec, world.codec.space("multidiscrete")
    space.seed(seed)
    held = [codec.encode(space.sample()) for _ in range(5)]
    return np.stack([held[rng.integers(5)] for _ in range(count)])


def test_same_start_seed_and_actions_give_the_same_frames(
    tiny_world: WorldModel, start: Start
) -> None:
    actions = some_actions(tiny_world, 12)
    runs = []
    for seed in (7, 7, 8):
        session = Session(tiny_world, engine="eager")
        begin(session, start, seed)
        runs.append(play(session, actions))
    assert (runs[0] == runs[1]).all()
    assert (runs[0] != runs[2]).any()


def test_actions_matter(tiny_world: WorldModel, start: Start) -> None:
    one, other = (Session(tiny_world, engine="eager") for _ in range(2))
    begin(one, start), begin(other, start)
    actions = some_actions(tiny_world, 1)
    assert (one.step(actions[:1]) != other.step(1 - actions[:1])).any()


def test_reset_returns_the_last_frame_of_the_clip(tiny_world: WorldModel, start: Start) -> None:
    session = Session(tiny_world, engine="eager")
    assert (begin(session, start)[0] == start.frames[-1]).all()


def test_priming_with_drawn_frames_leaves_the_keys_of_drawing_them(
    tiny_world: WorldModel, start: Start
) -> None:
    """Teacher forcing and free drawing are one computation: a reset is not another distribution."""
    session = Session(tiny_world, engine="eager")
    session.reset(start.frames[None, -1:], start.actions[None, -1:], start.pitch[None, -1:], [7])
    actions = np.concatenate([start.actions[-1:], some_actions(tiny_world, 4)])
    drawn = [session.now]
    for action in actions[1:]:
        session.step(action[None])
        drawn.append(session.now)
    code = (tiny_world.denoiser.config.tokens, tiny_world.denoiser.config.channels)
    noises = np.stack([noise(7, 0, session.window + n, 0, code) for n in range(5)])
    cache = tiny_world.denoiser.make_cache(1)
    prime(
        tiny_world,
        session.sigmas,
        cache,
        torch.stack([one.frame for one in drawn], dim=1),
        torch.from_numpy(actions[None]),
        torch.stack([one.pitch for one in drawn], dim=1),
        torch.from_numpy(noises[None]),
    )
    assert cache.valid.tolist() == session.cache.valid.tolist() == [4]
    for mine, its in zip(cache.past(0), session.cache.past(0), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-4)


def test_lanes_do_not_see_each_other(tiny_world: WorldModel, start: Start) -> None:
    """Lane i of a batch is the single session with its seed, up to batched products' rounding."""
    actions = some_actions(tiny_world, 6)
    batch = Session(tiny_world, lanes=3, engine="eager")
    begin(batch, start, seed=20)
    together = play(batch, actions)
    for lane in range(3):
        single = Session(tiny_world, engine="eager")
        begin(single, start, seed=20 + lane)
        assert alike(play(single, actions)[:, 0], together[:, lane])
    assert not alike(together[:, 0], together[:, 1])


def test_restarting_one_lane_leaves_the_others_bit_for_bit(
    tiny_world: WorldModel, start: Start
) -> None:
    actions = some_actions(tiny_world, 8)
    left, right = (Session(tiny_world, lanes=3, engine="eager") for _ in range(2))
    begin(left, start), begin(right, start)
    play(left, actions[:4]), play(right, actions[:4])
    begin(right, start, seed=99, mask=np.array([False, True, False]))
    a, b = play(left, actions[4:]), play(right, actions[4:])
    assert (a[:, [0, 2]] == b[:, [0, 2]]).all()
    assert (a[:, 1] != b[:, 1]).any()
    assert right.frame_index.tolist() == [8, 4, 8]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_undo_then_the_same_actions_is_nothing(
    tiny_world: WorldModel, start: Start, count: int
) -> None:
    actions = some_actions(tiny_world, 20)
    plain, undone = (Session(tiny_world, engine="eager") for _ in range(2))
    begin(plain, start), begin(undone, start)
    expected = play(plain, actions)
    for _ in range(3):  # the ring wraps more than once
        play(undone, actions[: 4 + count])
        undone.undo(count)
        assert (play(undone, actions[4 : 4 + count]) == expected[4 : 4 + count]).all()
        begin(undone, start)
    play(undone, actions[:10])
    play(undone, 1 - actions[:count])
    undone.undo(count)
    assert (play(undone, actions[10:]) == expected[10:]).all()


def test_undo_beyond_the_window_is_refused(tiny_world: WorldModel, start: Start) -> None:
    session = Session(tiny_world, engine="eager")
    begin(session, start)
    play(session, some_actions(tiny_world, 2))
    with pytest.raises(ValueError, match="cannot undo 3 frames; 2 can be undone"):
        session.undo(3)


@pytest.mark.parametrize("steps", [1, 2])
def test_saved_and_loaded_changes_nothing(tiny_world: WorldModel, start: Start, steps: int) -> None:
    actions = some_actions(tiny_world, 9)
    session = Session(tiny_world, lanes=2, engine="eager", steps=steps)
    begin(session, start)
    play(session, actions[:2])  # the window is not full yet: validity is part of the state
    state = session.save()
    expected = play(session, actions[2:])
    other = Session(tiny_world, lanes=2, engine="eager", steps=steps)
    other.load(state)
    assert (play(other, actions[2:]) == expected).all()
    session.load(state)
    assert (play(session, actions[2:]) == expected).all()


def test_forks_continue_alike_and_leave_the_parent_alone(
    tiny_world: WorldModel, start: Start
) -> None:
    actions = some_actions(tiny_world, 8)
    session = Session(tiny_world, engine="eager")
    begin(session, start)
    play(session, actions[:3])
    alone = session.fork(1)
    many = session.fork(3)
    assert (many.frame == session.frame).all()
    branch = play(many, 1 - actions[:5])
    expected = play(session, actions[3:])
    assert (play(alone, actions[3:]) == expected).all()
    assert alike(branch[:, 0], branch[:, 1])  # lanes of one batch may round a sum differently
    assert (branch[:, 0] != expected[:, 0]).any()


def test_frames_are_the_callers_to_keep(tiny_world: WorldModel, start: Start) -> None:
    actions = some_actions(tiny_world, 3)
    session, other = (Session(tiny_world, engine="eager") for _ in range(2))
    begin(session, start)[:] = 0
    begin(other, start)
    for action in actions:
        frame = session.step(action[None])
        assert (frame == other.step(action[None])).all()
        frame[:] = 0


def test_states_of_another_world_size_or_version_are_refused(
    tiny_world: WorldModel, start: Start
) -> None:
    session = Session(tiny_world, engine="eager")
    begin(session, start)
    state = session.save()
    with pytest.raises(StateError, match="lanes 1 and this session has 2"):
        Session(tiny_world, lanes=2, engine="eager").load(state)
    with pytest.raises(StateError, match="steps 1 and this session has 3"):
        Session(tiny_world, steps=3, engine="eager").load(state)
    with pytest.raises(StateError, match="no saved state"):
        session.load(state[: len(state) // 2])
    with pytest.raises(StateError, match="no saved state"):
        session.load(b"")
    renamed = state.replace(b'\\"format\\": %d' % FORMAT, b'\\"format\\": 9')
    with pytest.raises(StateError, match="format 9"):
        session.load(renamed)
    other = replace(tiny_world, fingerprint="another world")
    with pytest.raises(StateError, match="'another world'"):
        Session(other, engine="eager").load(state)


def test_wrong_shapes_are_refused_by_name(tiny_world: WorldModel, start: Start) -> None:
    session = Session(tiny_world, engine="eager")
    with pytest.raises(RuntimeError, match="call reset first"):
        session.step(np.zeros((1, 25), np.float32))
    frames, actions = start.frames[None], start.actions[None]
    with pytest.raises(ValueError, match="frames must be uint8"):
        session.reset(frames.astype(np.float32), actions)
    with pytest.raises(ValueError, match="32x48x3 pixels"):
        session.reset(frames[:, :, :16], actions)
    with pytest.raises(ValueError, match="actions must be"):
        session.reset(frames, actions[:, :-1])
    begin(session, start)
    with pytest.raises(ValueError, match="finite"):
        session.step(np.full((1, 25), np.nan, np.float32))
    with pytest.raises(ValueError, match=r"shape \(1, 25\)"):
        session.step(np.zeros((2, 25), np.float32))


def test_one_session_in_two_threads_is_an_error_and_two_sessions_are_not(
    tiny_world: WorldModel, start: Start
) -> None:
    session = Session(tiny_world, engine="eager")
    begin(session, start)
    errors: list[Exception] = []
    with session._alone():
        thread = threading.Thread(target=lambda: errors.append(_caught(session)))
        thread.start()
        thread.join()
    assert "another thread" in str(errors[0])
    actions = some_actions(tiny_world, 10)
    expected = play(session, actions)
    results: dict[int, NDArray[np.uint8]] = {}

    def run(number: int) -> None:
        own = Session(tiny_world, engine="eager")
        begin(own, start)
        results[number] = play(own, actions)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (results[0] == expected).all() and (results[1] == expected).all()


def _caught(session: Session) -> Exception:
    try:
        session.step(np.zeros((1, 25), np.float32))
    except RuntimeError as error:
        return error
    return AssertionError("two threads stepped one session")


def test_levels_fall_evenly_unless_they_are_the_worlds_own() -> None:
    assert levels((1.0, 0.4), None) == (1.0, 0.4)
    assert levels((1.0, 0.4), 2) == (1.0, 0.4)
    assert levels((1.0,), 4) == (1.0, 0.75, 0.5, 0.25)
    with pytest.raises(ValueError, match="at least 1"):
        levels((1.0,), 0)


def test_a_panorama_is_what_a_lane_remembers(tiny_world: WorldModel, start: Start) -> None:
    """Turning adds to it; standing changes what is in view alone; a state brings it along."""
    session = Session(tiny_world, lanes=2, engine="eager")
    begin(session, start)
    before = session.panorama()
    assert before.shape == (2, 240, 480, 3) and (before[0] == before[1]).all()
    codec = tiny_world.codec
    assert isinstance(codec, KeysAndMouse)
    for _ in range(6):
        session.step(np.stack([codec.vector(yaw=10.0), codec.vector()]))
    after, behind = session.panorama(), np.r_[0:60, 420:480]
    assert (after[0] != before[0]).mean() > (after[1] != before[1]).mean() > 0
    assert (after[1][:, behind] == before[1][:, behind]).all()
    other = Session(tiny_world, lanes=2, engine="eager")
    other.load(session.save())
    assert (other.panorama() == after).all()


def test_a_world_without_a_memory_says_so() -> None:
    world = make_tiny_world(recycle="plain")
    session = Session(world, engine="eager")
    shape = (1, 1, world.size[1], world.size[0], 3)
    session.reset(np.zeros(shape, np.uint8), np.zeros((1, 1, world.codec.width)))
    with pytest.raises(WorldError, match=r"model\.carry"):
        session.panorama()


@torch.no_grad()
def test_what_heads_look_at_goes_along_everywhere(tiny_world: WorldModel, start: Start) -> None:
    """The last frames around the crosshair: through saves, loads, forks, undos, speculation and
    resets of some lanes; and a world without heads keeps none."""
    world = replace(tiny_world, heads=RewardHeads(HeadsConfig(size=16, frames=3)))
    session = Session(world, lanes=2, engine="eager")
    shown = [begin(session, start)]
    assert (session.now.glimpses[:, -1].numpy() == shown[0][:, 8:24, 16:32]).all()
    shown += list(play(session, some_actions(world, 5)))

    def aimed_at(last: int) -> NDArray[np.uint8]:
        return np.stack(shown[last - 2 : last + 1], axis=1)[:, :, 8:24, 16:32]

    assert (session.now.glimpses.numpy() == aimed_at(5)).all()
    state = session.save()
    session.undo(2)
    assert (session.now.glimpses.numpy() == aimed_at(3)).all()
    session.load(state)
    assert (session.now.glimpses.numpy() == aimed_at(5)).all()
    assert (session.fork(3, lane=1).now.glimpses.numpy() == aimed_at(5)[1:]).all()
    begin(session, start, mask=np.array([False, True]))
    assert (session.now.glimpses[0].numpy() == aimed_at(5)[0]).all()
    assert (session.now.glimpses[1, -1].numpy() == shown[0][1, 8:24, 16:32]).all()
    guessing = Session(world, engine="eager", speculate="ahead")
    shown = [begin(guessing, start), *play(guessing, np.repeat(some_actions(world, 2), 4, axis=0))]
    assert (guessing.now.glimpses.numpy() == aimed_at(8)).all()
    guessing.close()
    assert Session(tiny_world, engine="eager")._now.glimpses.numel() == 0
