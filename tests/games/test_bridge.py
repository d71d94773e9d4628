"""The bridge carries an env of another interpreter: nothing is lost, hangs or stays behind."""

import gc
import io
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from nfd_gym.games.bridge import BridgeEnv, BridgeError
from nfd_gym.games.bridge_server import decode, encode


@pytest.fixture(autouse=True)
def far_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


def far(kind: str = "FarEnv", **options: Any) -> BridgeEnv:
    return BridgeEnv(
        sys.executable, f"far_env:{kind}", size=(32, 24), action_space="minerl",
        start_timeout_s=20, **{"step_timeout_s": 10, **options},
    )  # fmt: skip


@pytest.fixture
def env() -> Iterator[BridgeEnv]:
    made = far()
    yield made
    made.close()


def press(env: BridgeEnv, **keys: Any) -> Any:
    return env.step({**env.codec.noop(), **keys})


def test_messages_come_back_as_they_were_sent() -> None:
    numbers = np.arange(6, dtype=np.int16).reshape(2, 3)
    message = {"a": [1, 2.5, None, "x", True], "b": {"c": numbers}}
    back = decode(io.BytesIO(encode(message)).read)
    assert back["a"] == message["a"]
    assert back["b"]["c"].dtype == np.int16
    assert np.array_equal(back["b"]["c"], numbers)


def test_object_arrays_never_travel() -> None:
    """They would need pickle; they arrive as text."""
    assert isinstance(decode(io.BytesIO(encode({"a": np.array([{}])})).read)["a"], str)
    forged = encode({"a": np.zeros(1)}).replace(b"<f8", b"|O8")
    with pytest.raises(ValueError, match="not accepted"):
        decode(io.BytesIO(forged).read)


@pytest.mark.parametrize("kind", ["FarEnv", "ModernEnv"])
def test_both_dialects_say_the_same(kind: str) -> None:
    env = far(kind)
    try:
        frame, info = env.reset(seed=7)
        assert frame[0, 2, 0] == 7
        assert info["observation"]["inventory"]["dirt"] == 3
        frame, reward, terminated, truncated, info = press(
            env, forward=1, camera=np.array([0.0, 4.5], np.float32)
        )
        assert frame[0, :2, 0].tolist() == [1, 45]
        assert (reward, terminated, truncated) == (1.5, False, False)
        assert "object" in info["odd"]
        press(env)
        assert press(env)[2:4] == (False, True)  # a time limit, not an end
    finally:
        env.close()


def test_gymnasium_accepts_it() -> None:
    env = BridgeEnv(sys.executable, "far_env:ModernEnv", {"length": 100}, size=(32, 24))
    try:
        check_env(env, skip_render_check=True)
    finally:
        env.close()


def test_an_error_of_the_far_env_is_reported_and_it_goes_on(env: BridgeEnv) -> None:
    env.reset()
    with pytest.raises(BridgeError, match="nothing to drop"):
        press(env, drop=1)
    assert press(env)[1] == 1.5


def test_silence_ends_in_a_timeout_and_reset_starts_anew() -> None:
    env = far(step_timeout_s=0.5)
    try:
        env.reset()
        begin = time.monotonic()
        with pytest.raises(BridgeError, match=r"no answer to step within 0\.5 s"):
            press(env, swapHands=1)
        assert time.monotonic() - begin < 20
        env.reset()
        assert press(env)[0][0, 3, 0] == 1
    finally:
        env.close()


def test_a_crash_is_named_with_its_last_words(env: BridgeEnv) -> None:
    env.reset()
    with pytest.raises(BridgeError, match="OutOfMemoryError"):
        press(env, ESC=1)
    env.reset()


@pytest.mark.parametrize("kind", ["Missing", "no_such_module:Env"])
def test_what_cannot_be_made_says_why(kind: str) -> None:
    with pytest.raises(BridgeError, match=r"Missing|no_such_module"):
        BridgeEnv(sys.executable, kind if ":" in kind else f"far_env:{kind}", size=(32, 24)).reset()
    with pytest.raises(BridgeError, match="cannot be started"):
        BridgeEnv("/nonexistent/python", "far_env:FarEnv").reset()


@pytest.mark.parametrize("ending", ["close", "collect"])
def test_children_of_the_far_env_end_with_it(ending: str) -> None:
    env = far(arguments={"child": True})
    env.reset()
    child = press(env)[4]["child"]
    os.kill(child, 0)
    if ending == "close":
        env.close()
    else:
        del env
        gc.collect()
    deadline = time.monotonic() + 5
    while _running(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _running(child)


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
