"""PushT: exact, the real game, scored in Python as the game scores itself."""

import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from nfd_gym.__main__ import main
from nfd_gym.data.check import check_source
from nfd_gym.data.sources import open_source
from nfd_gym.games.episodes import record
from nfd_gym.games.pusht.readings import block_corners, coverage, ended, intersection, reward
from nfd_gym.games.pusht.spec import GOAL, RECTANGLES, SIDE, SPEC, SUCCESS

pytest.importorskip("gym_pusht")

from nfd_gym.games.pusht.env import PushTEnv, read
from nfd_gym.games.pusht.players import PLAYERS, Pusher, Simulator, aimed_push, errors, random_state
from nfd_gym.games.pusht.recorder import PushTFootage

ROOT = Path(__file__).parents[2]
EPISODE = """
import hashlib, numpy as np
from nfd_gym.games.pusht.env import PushTEnv
env, rng, total = PushTEnv(), np.random.default_rng(0), hashlib.sha256()
frame, info = env.reset(seed=3)
for _ in range(40):
    total.update(frame.tobytes() + info["state"].tobytes())
    frame, *_, info = env.step((info["state"][2:4] + rng.normal(0, 60, 2)).clip(0, 512))
print(total.hexdigest())
"""


@pytest.fixture(scope="module")
def env():
    return PushTEnv(render_mode="rgb_array")


def test_the_registered_env_passes_gymnasiums_and_sb3s_checks():
    sb3 = pytest.importorskip("stable_baselines3.common.env_checker")
    env = gymnasium.make("PushT-v0", render_mode="rgb_array")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both advise against a box of 0..512, which is the game's
        check_env(env.unwrapped)
        sb3.check_env(env.unwrapped)


def test_an_episode_is_the_same_in_every_process():
    runs = [
        subprocess.run(
            [sys.executable, "-c", EPISODE], capture_output=True, text=True, check=True, cwd=ROOT
        )
        for _ in range(2)
    ]
    one, other = (run.stdout.split()[-1] for run in runs)
    assert one == other and len(one) == 64


def test_a_reset_to_a_state_is_exact(env):
    rng = np.random.default_rng(0)
    for _ in range(5):
        state = random_state(rng)
        frame, info = env.reset(options={"state": state})
        assert info["state"].tolist() == state.tolist()
        futures = []
        for _ in range(2):
            env.reset(options={"state": state})
            steps = [env.step(state[2:4].astype(np.float32)) for _ in range(12)]
            futures.append([(s[0].tobytes(), s[1], s[4]["state"].tolist()) for s in steps])
        assert futures[0] == futures[1]
        assert env.reset(options={"state": state})[0].tobytes() == frame.tobytes()


def test_a_state_between_contacts_goes_on_exactly(env):
    """Position and velocity of the agent, and the pose: nothing else is remembered."""
    env.reset(options={"state": (60, 60, 400, 400, 1.0)})
    env.step(np.array([200, 90], np.float32))
    state = read(env.game)
    onward = [env.step(np.array([90, 200], np.float32))[4]["state"] for _ in range(4)]
    env.reset(options={"state": state})
    again = [env.step(np.array([90, 200], np.float32))[4]["state"] for _ in range(4)]
    assert np.array_equal(onward, again)
    env.reset(options={"state": state[:5]})  # without the velocity it is another state
    assert not np.array_equal(env.step(np.array([90, 200], np.float32))[4]["state"], onward[0])


@pytest.mark.parametrize("state", [(1, 2, 3), (np.nan, 0, 0, 0, 0), "middle"])
def test_bad_states_and_options_are_named(env, state):
    with pytest.raises(ValueError):
        env.reset(options={"state": state})
    with pytest.raises(ValueError, match="'stat'"):
        env.reset(options={"stat": (1, 2, 3, 4, 5)})


def test_native_pictures_are_the_games_own_and_averaged_ones_are_not(env):
    from gym_pusht.envs.pusht import PushTEnv as Original

    original = Original(obs_type="pixels")
    theirs, info = original.reset(seed=5)
    state = [*info["pos_agent"], *info["block_pose"]]
    native, _ = PushTEnv(native=True).reset(options={"state": state})
    ours, _ = env.reset(options={"state": state})
    assert np.array_equal(native, theirs)
    large = original._get_img(original._draw(), 512, 512).astype(float)
    for other, closest in ((ours, True), (native, False)):
        means = large[:480, :480].reshape(15, 32, 15, 32, 3).mean((1, 3))  # 32 px are 6 of 96
        blocks = other[:90, :90].reshape(15, 6, 15, 6, 3).astype(float).mean((1, 3))
        assert (np.abs(means - blocks).max() < 1.0) == closest


def test_coverage_reward_and_end_are_the_games(env):
    rng = np.random.default_rng(1)
    states = np.stack([random_state(rng) for _ in range(90)])
    states[:70, 2:] = GOAL + rng.normal(0, 1, (70, 3)) * [40, 40, 0.5]
    states[:20, 2:] = GOAL + rng.normal(0, 1, (20, 3)) * [2, 2, 0.01]
    real = [env.reset(options={"state": state})[1]["coverage"] for state in states]
    assert np.abs(coverage(states) - real).max() < 1e-9
    assert {0.0} < set(np.round(real, 3)) and ended(states).any() and not ended(states).all()
    for state in states[:25]:
        env.reset(options={"state": state})
        _, got, over, _, info = env.step(state[:2].astype(np.float32))
        assert abs(got - reward(info["state"])) < 1e-9
        assert over == ended(info["state"]) == info["is_success"]


def test_a_block_on_its_goal_covers_it_exactly():
    assert coverage([0, 0, *GOAL]) == 1.0
    assert abs(coverage([0, 0, GOAL[0] + 1e-9, GOAL[1], GOAL[2] + 1e-12]) - 1) < 1e-6
    assert coverage([0, 0, 60, 60, 0]) == 0.0
    assert reward([0, 0, *GOAL]) == 1.0 and SUCCESS == 0.95


@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(-4, 4), st.floats(0.1, 2))
def test_the_common_area_is_symmetric_and_bounded(x, y, turn, scale):
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], float)
    cos, sin = np.cos(turn), np.sin(turn)
    other = scale * square @ np.array([[cos, sin], [-sin, cos]]) + [x, y]
    area = float(intersection(square, other))
    assert area == pytest.approx(float(intersection(other, square)), abs=1e-6)
    assert -1e-9 <= area <= min(1.0, scale**2) + 1e-6
    inside = (np.linalg.inv(np.array([[cos, sin], [-sin, cos]]).T * scale)).T
    grid = (np.mgrid[0:60, 0:60].reshape(2, -1).T + 0.5) / 60
    local = (grid - [x, y]) @ inside
    counted = ((local > 0) & (local < 1)).all(1).mean()
    assert area == pytest.approx(counted, abs=0.05)


def test_the_shape_is_the_games(env):
    env.reset(options={"state": (50, 50, 200, 300, 0.7)})
    real = [
        [env.game.block.local_to_world(v) for v in shape.get_vertices()]
        for shape in env.game.block.shapes
    ]
    mine = block_corners((200, 300, 0.7))
    for corners in mine:  # the game keeps its shapes in a set: they come in any order
        apart = np.linalg.norm(np.array(real)[:, :, None] - corners, axis=-1)
        assert apart.min(2).max(1).min() < 1e-9
    assert np.shape(RECTANGLES) == (2, 4, 2)


def test_the_simulator_is_the_game(env):
    rng = np.random.default_rng(2)
    state = np.array([*random_state(rng), 0.0, 0.0])
    actions = aimed_push(rng, state)[:10].astype(np.float32).astype(float)
    env.reset(options={"state": state})
    real = [env.step(action.astype(np.float32))[4]["state"][2:] for action in actions]
    assert np.abs(Simulator().run(state, actions) - real).max() < 0.05  # actions are float32 there


def test_the_pusher_brings_the_block_nearer(env):
    """Four seconds of play from a far place: what it wants to make small becomes smaller."""
    hand = Pusher(np.random.default_rng(3))
    hand.noise = 2.0
    env.reset(options={"state": (400, 380, 360, 330, -1.0)})
    before = hand.cost(read(env.game)[None, 2:5])[0]
    for _ in range(40):
        env.step(hand.act(read(env.game)).astype(np.float32))
    assert hand.cost(read(env.game)[None, 2:5])[0] < 0.7 * before


@pytest.mark.parametrize("name", PLAYERS)
def test_players_stay_on_the_table_and_repeat_themselves(name):
    """The same generator, the same actions: a recording can be continued."""
    plays = []
    for _ in range(2):
        hand = PLAYERS[name](np.random.default_rng(4))
        state = np.array([*hand.start(np.random.default_rng(5)), 0.0, 0.0])
        plays.append([hand.act(state) for _ in range(10)])
    assert np.array_equal(*plays)
    assert (np.array(plays) >= 0).all() and (np.array(plays) <= SIDE).all()


def test_errors_are_in_pixels_and_degrees():
    pixels, degrees = errors(np.array([0, 0, 3, 4, 3.1]), np.array([9, 9, 0, 0, -3.1]))
    assert pixels == 5 and degrees == pytest.approx(np.degrees(2 * np.pi - 6.2))


def test_footage_is_clean_lossless_and_continues_where_it_stopped(tmp_path):
    footage = PushTFootage(length=12)
    footage.shares = {"pushes": 0.5, "jerky": 0.3, "smooth": 0.2}
    record(footage, tmp_path / "whole", 60)
    record(footage, tmp_path / "parts", 24)
    record(footage, tmp_path / "parts", 60)
    whole, parts = (open_source(tmp_path / name) for name in ("whole", "parts"))
    report = check_source(whole)
    assert report.frames == 60 and not report.problems and not report.notes
    assert whole.index.about == parts.index.about
    for index in range(len(whole.names)):
        one, other = whole.read(index), parts.read(index)
        assert np.array_equal(one.frames, other.frames)
        assert np.array_equal(one.state["state"], other.state["state"])
    clip = whole.read(0)
    assert whole.codec.to_json() == SPEC.codec.to_json() and (whole.fps, whole.size) == (
        10,
        (96, 96),
    )
    frame, _ = footage.env.reset(options={"state": clip.state["state"][0]})
    assert np.array_equal(frame, clip.frames[0])
    assert np.allclose(coverage(clip.state["state"]), clip.state["coverage"], atol=1e-6)
    assert np.allclose(clip.rewards[1:], reward(clip.state["state"])[1:], atol=1e-6)


def test_the_command_reaches_the_games_own_players(tmp_path, capsys):
    arguments = ["--frames", "6", "--set", "seed=3", "--out", str(tmp_path)]
    assert main(["record", "--env", "gym_pusht/PushT-v0", *arguments]) == 0
    assert "6 frames in 1 clips" in capsys.readouterr().out
    assert open_source(tmp_path).index.about["pusht-000003"]["player"] in PLAYERS
