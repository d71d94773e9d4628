"""Laws of a session: what it shows depends on start, seeds and actions, and on nothing else.

Each law is held in a world without a camera, in one with the smallest camera, body and memory,
and (slow) in one with the shipped kinds of both.
"""

import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save

from nfd_gym.runtime.session import UNDO, Session
from nfd_gym.runtime.starts import Start, starts_of
from nfd_gym.runtime.state import FORMAT, StateError
from nfd_gym.world import World, WorldError, WorldSettings, load_world
from nfd_gym.world.state import named_tensors
from tests.conftest import alike

Vectors = NDArray[np.float32]


@pytest.fixture(
    scope="module", params=["plain", "camera", pytest.param("points", marks=pytest.mark.slow)]
)
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "camera":
        made: World = request.getfixturevalue("camera_world")
        return made
    name = {"plain": "tiny_world_path", "points": "points_world_path"}[request.param]
    return load_world(request.getfixturevalue(name))


@pytest.fixture(scope="module")
def start(world: World) -> Start:
    return starts_of(world).clip(0)


def begin(session: Session, start: Start, seed: int = 7, **more: object) -> NDArray[np.uint8]:
    b = session.num_envs
    parts = (start.frames, start.actions, start.depth, start.poses)
    clip = [np.stack([part] * b) for part in parts]
    return session.reset(*clip, seeds=seed + np.arange(b), **more)  # type: ignore[arg-type]


def play(session: Session, actions: Vectors) -> NDArray[np.uint8]:
    """(T, B, H, W, 3) under the same action in every environment."""
    return np.stack([session.step(np.stack([a] * session.num_envs)) for a in actions])


def some_actions(world: World, count: int, seed: int = 0) -> Vectors:
    rng = np.random.default_rng(seed)
    codec, space = world.codec, world.codec.space("multidiscrete")
    space.seed(seed)
    held = [codec.encode(space.sample()) for _ in range(5)]
    return np.stack([held[rng.integers(5)] for _ in range(count)])


def same_states(one: Session, other: Session) -> bool:
    pairs = zip(named_tensors(one.state), named_tensors(other.state), strict=True)
    return all(torch.equal(a, b) for (_, a), (_, b) in pairs)


def test_same_start_seed_and_actions_give_the_same_frames(world: World, start: Start) -> None:
    actions = some_actions(world, 12)
    runs = []
    for seed in (7, 7, 8):
        session = Session(world, engine="eager")
        begin(session, start, seed)
        runs.append(play(session, actions))
    assert (runs[0] == runs[1]).all()
    assert (runs[0] != runs[2]).any()


def test_actions_matter(world: World, start: Start) -> None:
    one, other = (Session(world, engine="eager") for _ in range(2))
    begin(one, start), begin(other, start)
    actions = some_actions(world, 1)
    assert (one.step(actions[:1]) != other.step(1 - actions[:1])).any()


def test_reset_returns_the_last_frame_of_the_clip(world: World, start: Start) -> None:
    session = Session(world, engine="eager")
    assert (begin(session, start)[0] == start.frames[-1]).all()


def test_environments_do_not_see_each_other(world: World, start: Start) -> None:
    """Env i of a batch is the single session with its seed, up to the rounding of its products."""
    actions = some_actions(world, 6)
    batch = Session(world, num_envs=3, engine="eager")
    begin(batch, start, seed=20)
    together = play(batch, actions)
    for env in range(3):
        single = Session(world, engine="eager")
        begin(single, start, seed=20 + env)
        assert alike(play(single, actions)[:, 0], together[:, env])
    assert not alike(together[:, 0], together[:, 1])


def test_restarting_one_environment_leaves_the_others_bit_for_bit(
    world: World, start: Start
) -> None:
    actions = some_actions(world, 8)
    left, right = (Session(world, num_envs=3, engine="eager") for _ in range(2))
    begin(left, start), begin(right, start)
    play(left, actions[:4]), play(right, actions[:4])
    begin(right, start, seed=99, mask=np.array([False, True, False]))
    a, b = play(left, actions[4:]), play(right, actions[4:])
    assert (a[:, [0, 2]] == b[:, [0, 2]]).all()
    assert (a[:, 1] != b[:, 1]).any()
    assert right.frame_index.tolist() == [8, 4, 8]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_undo_then_the_same_actions_is_nothing(world: World, start: Start, count: int) -> None:
    actions = some_actions(world, 20)
    plain, undone = (Session(world, engine="eager") for _ in range(2))
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


def test_undo_goes_back_20_steps_and_a_batch_a_window(world: World, start: Start) -> None:
    session = Session(world, engine="eager")
    begin(session, start)
    actions = some_actions(world, 30)
    expected = play(session, actions)
    assert session.undoable == UNDO == 20
    with pytest.raises(ValueError, match="cannot undo 21 frames; 20 can be undone"):
        session.undo(21)
    assert (session.undo(20) == expected[9]).all()
    assert (play(session, actions[10:]) == expected[10:]).all()
    batch = Session(world, num_envs=2, engine="eager")
    begin(batch, start)
    play(batch, actions)
    assert batch.undoable == batch.window


@pytest.mark.parametrize("steps", [1, 2])
def test_saved_and_loaded_changes_nothing(world: World, start: Start, steps: int) -> None:
    actions = some_actions(world, 9)
    session = Session(world, num_envs=2, engine="eager", steps=steps)
    begin(session, start)
    play(session, actions[:2])  # the window is not full yet: validity is part of the state
    state = session.save()
    expected = play(session, actions[2:])
    other = Session(world, num_envs=2, engine="eager", steps=steps)
    other.load(state)
    assert (play(other, actions[2:]) == expected).all()
    session.load(state)
    assert (play(session, actions[2:]) == expected).all()


def test_forks_continue_alike_and_leave_the_parent_alone(world: World, start: Start) -> None:
    actions = some_actions(world, 8)
    session = Session(world, engine="eager")
    begin(session, start)
    play(session, actions[:3])
    alone = session.fork(1)
    many = session.fork(3)
    assert (many.frame == session.frame).all()
    branch = play(many, 1 - actions[:5])
    expected = play(session, actions[3:])
    assert (play(alone, actions[3:]) == expected).all()
    assert alike(branch[:, 0], branch[:, 1])  # sums of one batch may round differently
    assert (branch[:, 0] != expected[:, 0]).any()


def test_frames_are_the_callers_to_keep(world: World, start: Start) -> None:
    actions = some_actions(world, 3)
    session, other = (Session(world, engine="eager") for _ in range(2))
    begin(session, start)[:] = 0
    begin(other, start)
    for action in actions:
        frame = session.step(action[None])
        assert (frame == other.step(action[None])).all()
        frame[:] = 0


def test_states_of_another_world_size_or_version_are_refused(world: World, start: Start) -> None:
    session = Session(world, engine="eager")
    begin(session, start)
    state = session.save()
    with pytest.raises(StateError, match="num_envs 1 and this session has 2"):
        Session(world, num_envs=2, engine="eager").load(state)
    for broken in (state[: len(state) // 2], b""):
        with pytest.raises(StateError, match="no saved state"):
            session.load(broken)
    renamed = state.replace(b'\\"format\\": %d' % FORMAT, b'\\"format\\": 9')
    with pytest.raises(StateError, match="format 9"):
        session.load(renamed)
    other = replace(world, settings=WorldSettings(latent_limit=2.0))
    with pytest.raises(StateError, match="this session has"):
        Session(other, engine="eager").load(state)


DAMAGE = {
    "latents": lambda x: x * float("nan"),
    "frame": lambda x: x[:, :-1],
    "keys": lambda x: x[:, :, :-1],
    "values": lambda x: x.double(),
    "valid": lambda x: x + 99,
    "seeds": lambda x: x - 99,
    "frame_index": lambda x: x - 99,
    "edit.kind": lambda x: x + 9,
    "edit.cell": lambda x: x.float(),
    "nearness": lambda x: torch.full((1, 2, 3), float("inf")),
    "pose": lambda x: torch.zeros(1, 3),
    "motion": None,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_state_is_refused_and_changes_nothing(
    world: World, start: Start, name: str
) -> None:
    session = Session(world, engine="eager")
    begin(session, start)
    play(session, some_actions(world, 2))
    state = session.save()
    head = json.loads(state[8 : 8 + int.from_bytes(state[:8], "little")])["__metadata__"]
    tensors = load(state)
    change = DAMAGE[name]
    if change is None:
        del tensors[name]
    else:
        tensors[name] = change(tensors[name]).contiguous()
    play(session, some_actions(world, 2, seed=1))
    twin = session.fork(1)
    with pytest.raises(StateError, match=f"damaged: .*{re.escape(name)}"):
        session.load(save(tensors, metadata=head))
    assert same_states(session, twin) and session.undoable == 4
    after = some_actions(world, 2, seed=2)
    assert (play(session, after) == play(twin, after)).all()


def test_a_state_may_be_continued_with_another_number_of_steps(world: World, start: Start) -> None:
    one, two = Session(world, engine="eager"), Session(world, engine="eager", steps=2)
    begin(one, start)
    two.load(one.save())
    actions = some_actions(world, 1)
    assert (one.frame == two.frame).all()
    assert (play(one, actions) != play(two, actions)).any()


def test_wrong_shapes_are_refused_by_name(world: World, start: Start) -> None:
    session = Session(world, engine="eager")
    with pytest.raises(RuntimeError, match="call reset first"):
        session.step(np.zeros((1, 25), np.float32))
    clip = start.frames[None], start.actions[None], start.depth[None], start.poses[None]
    frames, actions, depth, poses = clip
    with pytest.raises(ValueError, match="frames must be uint8"):
        session.reset(frames.astype(np.float32), *clip[1:])
    with pytest.raises(ValueError, match="32x48x3 pixels"):
        session.reset(frames[:, :, :16], *clip[1:])
    with pytest.raises(ValueError, match="actions must have shape"):
        session.reset(frames, actions[:, :-1], depth, poses)
    if world.pose_width:
        with pytest.raises(ValueError, match=r"depth must be uint16 .*16384 = 1 per metre"):
            session.reset(frames, actions, None, poses)
        with pytest.raises(ValueError, match="poses must be given"):
            session.reset(frames, actions, depth)
    with pytest.raises(ValueError, match="at least one environment"):
        Session(world, num_envs=0)
    with pytest.raises(WorldError, match="steps must be at least 1"):
        Session(world, steps=0)
    begin(session, start)
    with pytest.raises(ValueError, match="finite"):
        session.step(np.full((1, 25), np.nan, np.float32))
    with pytest.raises(ValueError, match=r"shape \(1, 25\)"):
        session.step(np.zeros((2, 25), np.float32))


def test_one_session_in_two_threads_is_an_error_and_two_sessions_are_not(
    world: World, start: Start
) -> None:
    session = Session(world, engine="eager")
    begin(session, start)
    errors: list[Exception] = []
    with session._alone():
        thread = threading.Thread(target=lambda: errors.append(_caught(session)))
        thread.start()
        thread.join()
    assert "another thread" in str(errors[0])
    actions = some_actions(world, 10)
    expected = play(session, actions)
    results: dict[int, NDArray[np.uint8]] = {}

    def run(number: int) -> None:
        own = Session(world, engine="eager")
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


def test_unstarted_environments_wait_for_their_own_reset(world: World, start: Start) -> None:
    session = Session(world, num_envs=2, engine="eager")
    begin(session, start, mask=np.array([True, False]))
    with pytest.raises(RuntimeError, match=r"environments \[1\] have no frame yet"):
        session.step(np.zeros((2, 25)))
    begin(session, start, mask=np.array([False, True]))
    both = Session(world, num_envs=2, engine="eager")
    begin(both, start)
    actions = some_actions(world, 2)
    assert (play(session, actions) == play(both, actions)).all()


FORKING = """
import os, sys
import torch
from nfd_gym.runtime.session import Session
from nfd_gym.runtime.starts import starts_of
from nfd_gym.world import load_world

torch.set_num_threads(2)
def run(world):
    session, start = Session(world, engine="eager"), starts_of(world).clip(0)
    session.reset(start.frames[None], start.actions[None], seeds=[0])
    session.step(start.actions[:1])

world = load_world(sys.argv[1])
Session(world)
if sys.argv[2] == "after":
    run(world)
if os.fork() == 0:
    try:
        run(world)
        os._exit(0)
    except RuntimeError as error:
        print(error, flush=True)
        os._exit(3)
print("child", os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.mark.parametrize(("when", "code"), [("before", 0), ("after", 3)])
def test_a_forked_child_runs_or_is_told_to_spawn(
    tiny_world_path: Path, when: str, code: int
) -> None:
    """It hung for ever: OpenMP's threads do not survive a fork."""
    run = subprocess.run(
        [sys.executable, "-c", FORKING, str(tiny_world_path), when],
        capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert f"child {code}" in run.stdout, run.stdout + run.stderr
    assert ("context='spawn'" in run.stdout) == (when == "after")
