"""Guessing never changes what you see; it only costs or saves time."""

import itertools
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nfd_gym.runtime.action_predictor import MEMORY, Predictor, frames_worth_drawing
from nfd_gym.runtime.session import Session
from nfd_gym.runtime.speculate import Speculator
from nfd_gym.runtime.starts import Start, starts_of
from nfd_gym.world import World, load_world
from nfd_gym.world.state import WorldState
from tests.conftest import alike

Vectors = NDArray[np.float32]


@pytest.fixture(scope="module", params=["plain", "camera"])
def world(request: pytest.FixtureRequest, tiny_world_path: Path, camera_world: World) -> World:
    return load_world(tiny_world_path) if request.param == "plain" else camera_world


@pytest.fixture(scope="module")
def start(world: World) -> Start:
    return starts_of(world).clip(0)


def begin(session: Session, start: Start) -> None:
    clip = (start.frames[None], start.actions[None], start.depth[None], start.poses[None])
    session.reset(*clip, [7])


def patterns(width: int, count: int, seed: int) -> Vectors:
    """What a guesser loves and hates in turn: held, alternating, periodic, random, nearly equal."""
    rng = np.random.default_rng(seed)
    pool = rng.integers(0, 2, (6, width)).astype(np.float32)
    pool[:, -2:] = rng.uniform(-0.3, 0.3, (6, 2))
    kinds = itertools.cycle(
        [
            lambda n: np.repeat(pool[:1], n, 0),
            lambda n: pool[np.arange(n) % 2],
            lambda n: pool[(np.arange(n) % 7 == 0).astype(int)],
            lambda n: pool[rng.integers(0, 6, n)],
            lambda n: np.nextafter(pool[:1], np.float32(9)).repeat(n, 0),
        ]
    )
    parts: list[Vectors] = []
    while sum(map(len, parts)) < count:
        parts.append(next(kinds)(int(rng.integers(1, 25))))
    return np.concatenate(parts)[:count].astype(np.float32)


def exact(world: World, start: Start, engine: str, count: int) -> dict[str, int]:
    """Play with guessing, saves, loads, forks and undos, and without any of it: every bit equal."""
    actions = patterns(world.codec.width, count, seed=count)
    plain = Session(world, engine=engine)
    guessing = Session(world, engine=engine, speculate="ahead")
    begin(plain, start), begin(guessing, start)
    rng = np.random.default_rng(1)
    for number, action in enumerate(actions):
        expected = plain.step(action[None])
        assert (guessing.step(action[None]) == expected).all(), f"frame {number} differs"
        match rng.integers(60):
            case 0:
                guessing.load(guessing.save())
            case 1:
                fork = guessing.fork(1)
                fork.step(1 - action[None])
            case 2:
                back = int(rng.integers(1, 4))
                for _ in range(back):
                    guessing.step(rng.uniform(0, 1, action[None].shape))
                guessing.undo(back)
    counts = guessing.speculation
    guessing.close()
    return counts


def test_ahead_is_bit_identical(world: World, start: Start) -> None:
    exact(world, start, "eager", 80)


@pytest.mark.slow
def test_ahead_is_bit_identical_for_5000_steps(world: World, start: Start) -> None:
    pytest.importorskip("openvino")
    exact(world, start, "openvino", 5000)


def test_held_keys_are_hits(world: World, start: Start) -> None:
    session = Session(world, engine="eager", speculate="ahead")
    begin(session, start)
    action = patterns(25, 1, 0)
    for _ in range(10):
        session.step(action)
    assert session.speculation["hits"] == 9
    assert session.speculation["discarded"] == 0
    session.close()


def test_counts_of_equal_episodes_are_equal_however_long_a_draw_takes() -> None:
    """The frame in work counts from the moment it was asked for, not when the worker is done."""
    actions = patterns(4, 30, seed=3)

    def counts(seconds: float) -> list[dict[str, int]]:
        def draw(vectors: Vectors) -> WorldState:
            time.sleep(seconds)
            return None  # type: ignore[return-value]

        guessing = Speculator("ahead", 1, draw, lambda vectors, count: [], lambda frames: None)
        seen = []
        for action in actions:
            guessing.take(action[None])
            guessing.look_ahead(action[None])
            time.sleep(0.005)  # a quick draw is done by now, a slow one is not
            seen.append(guessing.counts())
        guessing.discard()
        guessing.close()
        return seen

    assert counts(0.0) == counts(0.03)


def test_parallel_serves_held_actions_from_one_draw_and_discards_the_rest(
    world: World, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(world, engine="eager", speculate="parallel")
    begin(session, start)
    actions, drawn = patterns(25, 40, 3), []
    session.speculator.cost = {1: 1.0, 8: 1.0}  # as on a launch-bound GPU: eight cost what one does
    monkeypatch.setattr(session.speculator, "_count", lambda frames, started: drawn.append(frames))
    for action in actions[:1].repeat(30, 0):
        session.step(action[None])
    counts = session.speculation
    assert counts["at_once"] > 1
    assert counts["hits"] > 15
    early = len(session.speculator._ready)
    session.step(1 - actions[:1])
    assert session.speculation["discarded"] == counts["discarded"] + early
    assert session.frame_index.item() == 31


def test_the_first_of_a_joint_draw_is_the_single_draw(world: World, start: Start) -> None:
    """Block-causal: frames drawn too early do not reach back to the one that is needed."""
    action = patterns(25, 1, 0)
    single, joint = (Session(world, engine="eager") for _ in range(2))
    begin(single, start), begin(joint, start)
    first, *rest = joint.draw_jointly(action, 4)
    assert alike(first.frame[0].numpy(), single.step(action)[0])
    assert first.pose.tolist() == single.state.pose.tolist()
    assert len(rest) == 3 and joint.cache.valid.item() == single.cache.valid.item() + 3


def test_auto_guesses_only_where_the_caller_thinks(world: World, start: Start) -> None:
    session = Session(world, engine="eager", speculate="auto")
    speculator = session.speculator
    speculator.cost, speculator._hit_rate, speculator._idle = {1: 0.02}, 0.8, 0.04
    assert speculator._pays()
    speculator._idle = 0.0
    assert not speculator._pays()
    speculator._idle, speculator._hit_rate = 0.01, 0.4
    assert not speculator._pays()


def test_unknown_modes_and_batches_are_refused(world: World) -> None:
    with pytest.raises(ValueError, match="did you mean 'ahead'"):
        Session(world, engine="eager", speculate="ahaed")
    with pytest.raises(ValueError, match="serves one env"):
        Session(world, engine="eager", speculate="ahead", num_envs=2)


def test_the_predictor_learns_a_habit() -> None:
    """A jump every fifth action: after some rounds the table knows when, repeating would not."""
    walk, jump = np.zeros(3, np.float32), np.ones(3, np.float32)
    stream = [jump if i % 5 == 4 else walk for i in range(200)]
    predictor, right = Predictor(), []
    for action in stream:
        guess = predictor.ranked(1)
        right.append(bool(guess) and bool((guess[0][0] == action).all()))
        predictor.observe(action)
    assert all(right[50:])
    assert sum(right[:20]) < 20
    (_, sure), *others = predictor.ranked(2)
    assert sure > 0.5 and all(chance < 0.5 for _, chance in others)


def test_the_predictor_forgets_what_is_older_than_its_memory() -> None:
    predictor = Predictor()
    for i in range(3 * MEMORY):
        predictor.observe(np.array([i % 17 if i < MEMORY else 0], np.float32))
    assert len(predictor._past) == MEMORY
    assert sum(sum(c.values()) for c in predictor._table.values()) == MEMORY
    assert predictor.stay() > 0.99


def test_frames_worth_drawing_follows_cost_and_habit() -> None:
    """The table of a geometric run: S = A(p, K) / c(K) with c = 1 + b (K - 1)."""
    for stay, slope, best in ((0.9, 0.1, 11), (0.9, 0.25, 7), (0.6, 0.25, 3), (0.8, 1.0, 1)):
        cost = {k: 1 + slope * (k - 1) for k in range(1, 17)}
        assert frames_worth_drawing(stay, cost, 16) == best
    assert frames_worth_drawing(0.9, {}, 8) == 1
