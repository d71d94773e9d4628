"""Luanti-v0 against the real game: what an action says is what happens, in the very next frame."""

import gc
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import nfd_gym  # noqa: F401 - registers the id
from nfd_gym.games.bench import own_temporary_folder, traces
from nfd_gym.games.luanti import check
from nfd_gym.games.luanti.env import LuantiEnv
from nfd_gym.games.luanti.gate import GameDied
from tests.games.hands import press

pytestmark = [
    pytest.mark.luanti,
    pytest.mark.skipif(bool(check()), reason="; ".join(check()) or "installed"),
]
Frame = np.ndarray


@pytest.fixture(scope="module")
def env() -> Iterator[LuantiEnv]:
    """On the sea, so that nothing is in the way. Tests go on from where the one before ended."""
    made = LuantiEnv(action_space="minerl", task="dig")
    made.reset(seed=1, options={"place": {"position": (53.0, 0.0)}})
    yield made
    made.close()


def level(env: LuantiEnv, pitch: float = 5.0) -> tuple[Frame, dict[str, Any]]:
    """At rest on the ground, looking `pitch` degrees down."""
    for _ in range(15):
        _, info = press(env)
    press(env, down=pitch - info["pitch"])
    return press(env)


def change(before: Frame, after: Frame) -> float:
    """Mean change of the picture below the horizon."""
    return float(np.abs(before[60:].astype(int) - after[60:]).mean())


def walk(env: LuantiEnv, *keys: str, ticks: int = 10) -> tuple[float, float, float]:
    """How far forward, to the right and up the player gets."""
    _, before = level(env)
    for _ in range(ticks):
        _, after = press(env, *keys)
    moved = np.subtract(after["position"], before["position"])
    yaw = math.radians(before["yaw"])
    ahead = -math.sin(yaw) * moved[0] + math.cos(yaw) * moved[2]
    right = -math.cos(yaw) * moved[0] - math.sin(yaw) * moved[2]
    return ahead, right, moved[1]


def test_a_turn_is_in_the_very_next_frame_100_times_of_100(env: LuantiEnv) -> None:
    """The game logs its view one frame late: it must be the view that `info` told before. 4 degrees
    are 26.7 mouse pixels; what is left over is carried: the sum stays within 0.1 degrees."""
    still, info = level(env, 20.0)
    start = told = info["yaw"]
    for turn in range(1, 101):
        turned, info = press(env, right=4.0)
        assert -env._tracker._line["yaw"] == pytest.approx(told, abs=0.01)  # type: ignore[union-attr]
        told = info["yaw"]
        assert abs(told - start - 4.0 * turn) < 0.1
        after, info = press(env)
        assert change(still, turned) > 4 * change(turned, after), turn
        still = after


@pytest.mark.parametrize(
    ("key", "ahead", "right"),
    [("forward", 1, 0), ("back", -1, 0), ("left", 0, -1), ("right", 0, 1)],
)
def test_walking_keys_move_as_they_say(env: LuantiEnv, key: str, ahead: int, right: int) -> None:
    """1.6 m in half a second, along the commanded direction."""
    moved = walk(env, key)
    assert np.hypot(moved[0] - 1.6 * ahead, moved[1] - 1.6 * right) < 0.3, moved


def test_the_first_stride_is_in_the_very_next_frame(env: LuantiEnv) -> None:
    assert walk(env, "forward", ticks=1)[0] > 0.01


def test_jump_and_sneak(env: LuantiEnv) -> None:
    assert 0.8 < walk(env, "jump", ticks=6)[2] < 1.5
    assert 0.1 < walk(env, "forward", "sneak")[0] < 0.6 * walk(env, "forward")[0]


def test_the_task_pays_for_digging(env: LuantiEnv) -> None:
    env.reset(options={"place": {"position": (-5.0, -1.0), "pitch": 40.0}})
    paid = [env.step({**env.codec.noop(), "attack": 1})[1] for _ in range(11)]
    assert sum(paid) == 3 and paid[0] == 1
    env.reset(options={"place": {"position": (53.0, 0.0)}})


def test_half_a_turn_in_one_tick_and_the_poles(env: LuantiEnv) -> None:
    """The screen is large enough for MineRL's whole camera range."""
    _, info = level(env)
    _, turned = press(env, right=180.0)
    _, later = press(env)
    assert turned["yaw"] - info["yaw"] == pytest.approx(180, abs=0.1)
    assert later["yaw"] == turned["yaw"]
    assert press(env, down=180.0)[1]["pitch"] == 89.5
    assert press(env)[1]["pitch"] == pytest.approx(89.5, abs=0.6)
    level(env)


def test_observations_are_fresh_and_the_picture_is_good(env: LuantiEnv) -> None:
    first, info = level(env)
    kept = first.copy()
    second, later = press(env, right=30.0)
    assert np.array_equal(first, kept) and not np.shares_memory(first, second)
    assert info["events"] is not later["events"]
    assert first.shape == (112, 192, 3) and 60 < first.mean() < 220 and first.std() > 18
    assert "depth" not in info


def test_a_dead_game_is_named_and_reset_starts_another(env: LuantiEnv) -> None:
    """Also: the same seed finds the same place again, in a new game as in the old one."""
    place = env.reset(seed=5)[1]["position"]
    os.kill(games()[0], signal.SIGKILL)
    with pytest.raises(GameDied, match=r"call reset\(\)"):
        for _ in range(5):
            press(env)
    with pytest.raises(gymnasium.error.ResetNeeded):
        press(env)
    _, info = env.reset(seed=5)
    assert info["position"] == place
    assert press(env, "forward")[1]["tick"] == 1


def test_a_hanging_game_is_named(env: LuantiEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nfd_gym.games.luanti.game.FRAME_SECONDS", 0.3)
    os.kill(games()[0], signal.SIGSTOP)
    with pytest.raises(GameDied, match="no frame within"):
        press(env)
    env.close()
    assert not games()


def games() -> list[int]:
    """Process ids of the games below this process."""
    from nfd_gym.games.bench import _family

    return [pid for name, pid in _family().items() if name == "minetest"]


def test_garbage_collection_leaves_nothing() -> None:
    with own_temporary_folder() as root:
        before = traces(root)
        env = LuantiEnv(size=(64, 64), action_space="discrete")
        env._running_game(env._default)
        assert len(traces(root) - before) >= 4  # supervisor, display, game, folder
        del env
        gc.collect()
        assert traces(root) <= before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_controller_leaves_nothing(number: signal.Signals) -> None:
    """SIGINT goes to the whole group, as ctrl-C in a terminal does."""
    code = (
        # a background shell (CI) hands down an ignored SIGINT
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from nfd_gym.games.luanti.game import Game\n"
        "game = Game(64, 64, game='island')\nprint('up', flush=True)\n"
        "while True: game.step(frozenset(), 1, 0)"
    )
    with own_temporary_folder() as root:
        before = traces(root)
        victim = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        assert victim.stdout is not None and victim.stdout.readline() == b"up\n"
        assert len(traces(root) - before) >= 5  # the controller itself, too
        os.killpg(victim.pid, number)
        victim.wait(timeout=60)
        victim.stdout.close()
        deadline = time.monotonic() + 10
        while not traces(root) <= before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert traces(root) <= before


@pytest.mark.slow
def test_minetest_game_digs_with_its_tools_and_moves_on() -> None:
    """The other game: what is dug is gone from the picture, and depth is refused."""
    with pytest.raises(ValueError, match="depth needs game='island'"):
        LuantiEnv(game="minetest", depth=True)
    env = LuantiEnv(
        action_space="minerl", task="dig", game="minetest", place="grassland", mapgen="flat"
    )
    try:
        _, info = env.reset(seed=1)
        assert info["biome"] == "grassland" and len(info["eye"]) == 5
        press(env, "hotbar.2")
        first, info = level(env, 55.0)
        assert info["hotbar"] == 1
        before, _ = press(env)
        for _ in range(60):
            _, reward, _, _, info = env.step({**env.codec.noop(), "attack": 1})
            if reward:
                break
        (event,) = info["events"]
        assert event["type"] == "dig" and info["stats"][f"mine_block:{event['node']}"] == 1
        for _ in range(3):
            after, _ = press(env)
        # what stood at the crosshair, a tuft of grass say, is gone; nothing else moves
        assert changed(first, before) < 0.02 and changed(before, after) > 0.1
        assert 1.2 < walk(env, "forward")[0] < 2.0
    finally:
        env.close()


def changed(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the pixels around the crosshair that differ by more than 20 grey levels."""
    middle = slice(40, 80), slice(70, 122)
    apart = np.abs(one[middle].astype(int) - other[middle]).max(-1)
    return float((apart > 20).mean())


def test_the_spec_survives_json() -> None:
    spec = gymnasium.spec("Luanti-v0")
    assert spec.nondeterministic and json.loads(spec.to_json())["id"] == "Luanti-v0"


@pytest.mark.slow
@pytest.mark.parametrize("space", ["multidiscrete", "discrete"])
def test_gymnasium_and_sb3_accept_it(space: str) -> None:
    from stable_baselines3.common.env_checker import check_env as check_sb3

    env = gymnasium.make("Luanti-v0", action_space=space)
    try:
        check_env(env.unwrapped, skip_render_check=True)
        check_sb3(env, skip_render_check=True)
    finally:
        env.close()
